"""`gf-images info`: what a page needs to know of one picture, from a running service or from a local file."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from pipeline.protocol import Limits
from proxy.cli.console import env_file_option, exit_on_faults, read_settings_or_exit
from proxy.cli.remote.service_client import ServiceClient
from proxy.cli.tables import new_table, print_tables
from proxy.cli.usage import StrictCommand
from proxy.derivatives.picture.picture import PictureDescription, picture_of
from proxy.derivatives.recipe import Derivative
from proxy.errors import CannotStart
from proxy.http.routes.images import PATH as IMAGES
from proxy.http.routes.pictures import PATH
from proxy.keys.addresses import PublicAddresses
from proxy.observability.logging import configure_logs
from proxy.rendering import local
from proxy.rendering.memory_budget import render_budget
from proxy.settings.sizes import read_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.protocol import Rendered
    from pipeline.size import Size
    from proxy.settings.settings import Settings

_SCHEMES = ("http://", "https://")
_DESCRIBED = re.compile(rf"(?P<base>.*?){PATH}/(?P<key>.+)")
_PAGE_VIEW = re.compile(rf"(?P<base>.*?){IMAGES}/(?P<key>.+)/[a-z0-9-]+")


@click.command(cls=StrictCommand)
@click.argument("source", metavar="URL|FILE")
@click.option("--sizes-file", type=click.Path(path_type=Path), help="Sizes file to use for a FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@env_file_option
def info(source: str, *, sizes_file: Path | None, as_json: bool) -> None:
    """Show the sizes, the colour and the placeholders of a picture.

    A URL is that of a page view or of a description of a running service. A FILE is rendered in a render process as
    the service would, and nothing is kept: the URLs are the names that "gf-images render" gives its files.

    Exit codes: 0, done; 1, the picture was refused, or the service failed; 2, usage error.

    Example: gf-images info http://127.0.0.1:8080/img/gall/58/58_1_original.jpg/medium
    """
    is_url = source.startswith(_SCHEMES)
    if "://" in source and not is_url:
        raise click.UsageError(f"{source} is not a URL that can be read. Name one with http:// or https://, or a file.")
    if is_url and sizes_file:
        raise click.UsageError(
            "--sizes-file has no effect on a URL: the running service has sizes of its own. Remove --sizes-file, or "
            "name a local file."
        )
    picture = _fetched(source) if is_url else _rendered(Path(source).resolve(), sizes_file)
    if as_json:
        click.echo(msgspec.json.encode(picture))
    else:
        _show(picture)


def _fetched(source: str) -> PictureDescription:
    parts = urlsplit(source)
    found = _DESCRIBED.fullmatch(parts.path) or _PAGE_VIEW.fullmatch(parts.path)
    if not found:
        raise click.UsageError(
            f"The path of the URL must be {IMAGES}/<key>/<size> or {PATH}/<key>, on the host of the service. The URL "
            "of a derivative in the store does not name its original."
        )
    with ServiceClient(f"{parts.scheme}://{parts.netloc}{found['base']}", secret=None) as client:
        return client.get(f"{PATH}/{found['key']}", PictureDescription)


def _rendered(file: Path, sizes_file: Path | None) -> PictureDescription:
    settings = read_settings_or_exit(accepts_jobs=False)
    configure_logs(level="ERROR", form="console")
    with exit_on_faults("--sizes-file: "):
        sizes = read_sizes(sizes_file) if sizes_file else settings.sizes
    try:
        with TemporaryDirectory(prefix="gf-images-info-") as folder:
            outcome = asyncio.run(_render(file, Path(folder), sizes, settings))
    except (OSError, CannotStart) as fault:
        raise click.ClickException(str(fault)) from fault
    if outcome.refusal:
        raise click.ClickException(f"{file}: {outcome.refusal}")
    derivatives = [_derivative(made) for made in outcome.derivatives]
    return picture_of(file.name, derivatives, sizes, addresses=PublicAddresses("."))


async def _render(file: Path, folder: Path, sizes: Sequence[Size], settings: Settings) -> local.LocalResult:
    async with local.local_renderers(
        budget_bytes=render_budget(settings.memory_budget_mb),
        deadline_seconds=settings.render_timeout_seconds,
        sandbox=settings.sandbox,
    ) as render_pool:
        limits = Limits(pixels=settings.max_pixels)
        return await local.render_file(render_pool, file, out=folder, sizes=sizes, limits=limits)


def _derivative(made: Rendered) -> Derivative:
    return Derivative(
        size=made.size,
        key=Path(made.path).name,
        width=made.width,
        height=made.height,
        bytes=made.bytes,
        content_type=made.content_type,
        summary=made.summary,
    )


def _show(picture: PictureDescription) -> None:
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(picture):
        facts.add_row(name, value)
    table = new_table("size", "w x h", "bytes", "type", "URL")
    for size in picture.sizes:
        bytes_ = "" if size.bytes is None else f"{size.bytes:,}"
        table.add_row(size.size, _sides(size.width, size.height), bytes_, size.content_type, escape(size.url))
    print_tables(facts, table)


def _facts(picture: PictureDescription) -> list[tuple[str, str]]:
    color, lqip, thumbhash = picture.color, picture.placeholder.lqip, picture.placeholder.thumbhash
    return [
        ("key", escape(picture.key)),
        ("w x h", _sides(picture.width, picture.height)),
        ("format", f"{picture.format or 'unknown'}{', animated' if picture.animated else ''}"),
        ("color", f"{color} [on {color}]    [/]" if color else "unknown"),
        ("thumbhash", thumbhash or "unknown"),
        ("lqip", escape(lqip) if lqip else "unknown"),
    ]


def _sides(width: int | None, height: int | None) -> str:
    return f"{width} x {height}" if width and height else "unknown"
