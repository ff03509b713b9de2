"""`gf-images facts`: the facts in the metadata of local files, read as the service reads them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from pipeline.protocol import Limits
from proxy.cli.console import REFUSED, env_file_option, read_settings_or_exit
from proxy.cli.usage import StrictCommand
from proxy.errors import CannotStart
from proxy.facts.local_facts import FileFacts, NoFacts, facts_of_file
from proxy.observability.logging import configure_logs, escaped
from proxy.rendering.local import local_renderers
from proxy.rendering.memory_budget import render_budget

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.facts_model import Exposure, Place
    from proxy.settings.settings import Settings

_NAME_CHARACTERS = 12
_LONG_EXPOSURE_SECONDS = 0.3


@click.command(cls=StrictCommand)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, resolve_path=True))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
@env_file_option
def facts(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Print when, where and with what photographs were taken.

    Their rights are printed too: creator, copyright and licence.

    Exit codes: 0, all files were read; 1, a file failed, and the others were read; 2, usage error.

    Example: gf-images facts photo.jpg
    """
    settings = read_settings_or_exit(accepts_jobs=False)
    configure_logs(level="ERROR", form="console")
    try:
        found = asyncio.run(_read_all(files, settings))
    except CannotStart as fault:
        click.echo(str(fault), err=True)
        sys.exit(REFUSED)
    for one in found:
        if as_json:
            click.echo(msgspec.json.encode(one))
        elif isinstance(one, NoFacts):
            click.echo(f"{escaped(one.file)}: {one.refusal}", err=True)
        else:
            click.echo("\n".join(_lines(one)))
    sys.exit(REFUSED if any(isinstance(one, NoFacts) for one in found) else 0)


async def _read_all(files: Sequence[Path], settings: Settings) -> list[FileFacts | NoFacts]:
    async with local_renderers(
        budget_bytes=render_budget(settings.memory_budget_mb),
        deadline_seconds=settings.render_timeout_seconds,
        sandbox=settings.sandbox,
    ) as render_pool:
        limits = Limits(pixels=settings.max_pixels)
        return [await facts_of_file(render_pool, file, limits=limits) for file in files]


def _lines(found: FileFacts) -> Iterator[str]:
    yield escaped(found.file)
    yield _line("file", f"{found.format}, {found.width} x {found.height}, {found.bytes:,} bytes, sha256 {found.sha256}")
    shown = {
        "taken at": found.taken_at,
        "camera": " ".join(filter(None, (found.camera.make, found.camera.model))) if found.camera else None,
        "lens": " ".join(filter(None, (found.lens.make, found.lens.model))) if found.lens else None,
        "exposure": _exposure(found.exposure) if found.exposure else None,
        "place": _place(found.place) if found.place else None,
        "creator": found.creator,
        "copyright": found.copyright,
        "licence": found.licence,
        "caption": found.caption,
    }
    for name, value in shown.items():
        doubts = {field.replace("_", " "): doubts for field, doubts in found.uncertain.items()}.get(name, ())
        if value:
            yield _line(name, value + (f" (uncertain: {', '.join(doubts)})" if doubts else ""))


def _line(name: str, value: str) -> str:
    return f"  {name:{_NAME_CHARACTERS}}" + value.replace("\n", "\n  " + " " * _NAME_CHARACTERS)


def _exposure(exposure: Exposure) -> str:
    seconds, flash = exposure.seconds, {True: "flash", False: "no flash", None: None}[exposure.flash]
    is_short = seconds is not None and seconds < _LONG_EXPOSURE_SECONDS
    parts = (
        seconds and (f"1/{1 / seconds:.0f} s" if is_short else f"{seconds:.3g} s"),
        exposure.f_number and f"f/{exposure.f_number:.3g}",
        exposure.iso and f"ISO {exposure.iso}",
        exposure.focal_length and f"{exposure.focal_length:.4g} mm",
        exposure.focal_length_35mm and f"{exposure.focal_length_35mm:.4g} mm for 35 mm film",
        exposure.bias and f"{exposure.bias:+.2g} EV",
        flash,
    )
    return ", ".join(str(part) for part in parts if part)


def _place(place: Place) -> str:
    altitude = "" if place.altitude is None else f", altitude {place.altitude:.4g} m"
    accuracy = "" if place.accuracy is None else f", within {place.accuracy:.4g} m"
    return f"{place.latitude:.7g}, {place.longitude:.7g}{altitude}{accuracy}"
