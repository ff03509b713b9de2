"""`gf-images render`: local files, rendered by the same code as in the service."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.markup import escape

from pipeline.protocol import Limits
from proxy.bulk.reporters import drawn_bar
from proxy.cli.console import REFUSED, env_file_option, exit_on_faults, read_settings_or_exit
from proxy.cli.tables import new_table, print_tables
from proxy.cli.usage import INTERRUPTED, TERMINATED, StrictCommand
from proxy.errors import CannotStart
from proxy.observability.logging import configure_logs
from proxy.rendering import local
from proxy.rendering.memory_budget import render_budget
from proxy.settings.sizes import read_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from proxy.settings.settings import Settings

    RenderFile = Callable[..., Coroutine[object, object, local.LocalResult]]


@click.command(cls=StrictCommand)
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
@env_file_option
def render(files: tuple[Path, ...], *, out: Path, sizes_file: Path | None, overwrite: bool, as_json: bool) -> None:
    """Render local files with the same code as the service.

    A terminal shows the progress. Ctrl-C prints what was written until then; the same command writes the rest.

    Exit codes: 0, all files were rendered; 1, a file failed, and the others were rendered; 2, usage error; 130, stopped
    by Ctrl-C; 143, stopped by SIGTERM.

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
        raise click.UsageError(
            f"--out: {_readable(out)} cannot be created ({fault.strerror}). "
            "Name a folder below one that exists and is writable."
        ) from fault
    outcomes: list[local.LocalResult] = []
    question = partial(local.render_file, out=out, sizes=sizes, overwrite=overwrite)
    stopped_by = _render_until_signal(files, question, settings, outcomes)
    if as_json:
        for outcome in outcomes:
            click.echo(msgspec.json.encode(outcome, enc_hook=_readable))
    else:
        _show(outcomes)
    if stopped_by:
        click.echo(_stopped(outcomes, files), err=True)
        sys.exit(stopped_by)
    sys.exit(REFUSED if any(outcome.refusal for outcome in outcomes) else 0)


def _render_until_signal(
    files: Sequence[Path], render_file: RenderFile, settings: Settings, outcomes: list[local.LocalResult]
) -> int:
    """Append the results of all files to `outcomes`; return the exit code of the signal that stopped it, or 0."""
    try:
        with _progress(len(files)) as advance:
            asyncio.run(_render_all(files, render_file, settings, on_result=lambda one: advance(outcomes, one)))
    except CannotStart as fault:
        click.echo(str(fault), err=True)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    return 0


async def _render_all(
    files: Sequence[Path],
    render_file: RenderFile,
    settings: Settings,
    *,
    on_result: Callable[[local.LocalResult], None],
) -> None:
    """Render the files in their order; a SIGTERM cancels it as a Ctrl-C does."""
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    limits = Limits(pixels=settings.max_pixels)
    async with local.local_renderers(
        budget_bytes=render_budget(settings.memory_budget_mb),
        deadline_seconds=settings.render_timeout_seconds,
        sandbox=settings.sandbox,
    ) as render_pool:
        for file in files:
            on_result(await render_file(render_pool, file, limits=limits))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[list[local.LocalResult], local.LocalResult], None]]:
    """Yield a function that adds a result to the list, and shows on a terminal how many of all files are done."""
    if not sys.stderr.isatty():
        yield list.append
        return
    with drawn_bar() as bar:
        task = bar.add_task(f"0 of {total}", total=total)

        def advance(outcomes: list[local.LocalResult], outcome: local.LocalResult) -> None:
            outcomes.append(outcome)
            described = f"{len(outcomes)} of {total}, {escape(_readable(outcome.file.name))}"
            bar.update(task, completed=len(outcomes), description=described)

        yield advance


def _stopped(outcomes: Sequence[local.LocalResult], files: Sequence[Path]) -> str:
    written = sum(len(outcome.derivatives) for outcome in outcomes)
    return (
        f"\nStopped after {len(outcomes)} of {len(files)} files. Written: {written} derivatives, as listed above. "
        "Repeat the command for the rest."
    )


def _show(outcomes: Sequence[local.LocalResult]) -> None:
    table = new_table("file", "size", "w x h", "bytes", "type")
    for outcome in outcomes:
        for made in outcome.derivatives:
            table.add_row(
                escape(_from_here(made.path)),
                made.size,
                f"{made.width} x {made.height}",
                f"{made.bytes:,}",
                made.content_type,
            )
    if table.row_count:
        print_tables(table)
    for outcome in outcomes:
        if outcome.refusal:
            click.echo(f"{_readable(outcome.file)}: {outcome.refusal}", err=True)


def _from_here(path: str) -> str:
    """Return a path as a relative one if it lies below the working folder."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def _readable(path: object) -> str:
    """Return a path as text, whatever bytes its name has."""
    return os.fsencode(str(path)).decode(errors="replace")
