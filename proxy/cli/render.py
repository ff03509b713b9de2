"""`gf-images render`: local files, rendered by the same code as in the service."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.protocol import Limits
from proxy.cli.console import REFUSED, exit_on_faults, read_settings_or_exit
from proxy.errors import CannotStart
from proxy.observability.logging import configure_logs
from proxy.rendering import local
from proxy.rendering.memory_budget import render_budget
from proxy.settings.sizes import read_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.size import Size
    from proxy.settings.settings import Settings

WIDE = 500
"""Width of the table if standard output is not a terminal: nothing is truncated."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, resolve_path=True))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Folder for the derivatives.",
)
@click.option("--sizes-file", type=click.Path(path_type=Path), help="Sizes file to use instead of SIZES_FILE.")
@click.option("--overwrite", is_flag=True, help="Replace files in --out that have other content.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file instead of a table.")
def render(files: tuple[Path, ...], *, out: Path, sizes_file: Path | None, overwrite: bool, as_json: bool) -> None:
    """Render local files with the same code as the service.

    Exit codes: 0, all files were rendered; 1, a file failed, and the others were rendered; 2, usage error.

    Example: gf-images render photo.jpg --out derivatives/
    """
    settings = read_settings_or_exit(accepts_jobs=False)
    configure_logs(level="ERROR", form="console")
    with exit_on_faults("--sizes-file: "):
        sizes = read_sizes(sizes_file) if sizes_file else settings.sizes
    if clash := local.clash(files, out=out, sizes=sizes):
        raise click.UsageError(_readable(clash))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise click.UsageError(f"--out: {_readable(out)} cannot be created ({fault.strerror}).") from fault
    try:
        outcomes = asyncio.run(_render_all(files, out=out, sizes=sizes, settings=settings, overwrite=overwrite))
    except CannotStart as fault:
        click.echo(str(fault), err=True)
        sys.exit(REFUSED)
    if as_json:
        for outcome in outcomes:
            click.echo(msgspec.json.encode(outcome, enc_hook=_readable))
    else:
        _show(outcomes)
    sys.exit(REFUSED if any(outcome.refusal for outcome in outcomes) else 0)


async def _render_all(
    files: Sequence[Path], *, out: Path, sizes: Sequence[Size], settings: Settings, overwrite: bool
) -> list[local.LocalResult]:
    limits = Limits(pixels=settings.max_pixels)
    async with local.local_renderers(
        budget_bytes=render_budget(settings.memory_budget_mb),
        deadline_seconds=settings.render_timeout_seconds,
        sandbox=settings.sandbox,
    ) as render_pool:
        return [
            await local.render_file(render_pool, file, out=out, sizes=sizes, limits=limits, overwrite=overwrite)
            for file in files
        ]


def _show(outcomes: Sequence[local.LocalResult]) -> None:
    table = Table("file", "size", "w x h", "bytes", "type", box=None, pad_edge=False)
    for outcome in outcomes:
        for made in outcome.derivatives:
            table.add_row(
                escape(made.path), made.size, f"{made.width} x {made.height}", f"{made.bytes:,}", made.content_type
            )
    if table.row_count:
        Console(width=None if sys.stdout.isatty() else WIDE).print(table)
    for outcome in outcomes:
        if outcome.refusal:
            click.echo(f"{_readable(outcome.file)}: {outcome.refusal}", err=True)


def _readable(path: object) -> str:
    """Return a path as text, whatever bytes its name has."""
    return os.fsencode(str(path)).decode(errors="replace")
