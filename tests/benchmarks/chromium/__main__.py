"""Compares derivatives with what Chromium shows of the same originals: `python -m tests.benchmarks.chromium`.

A page shows the original at the width of the derivative. Ends with 1 if the pixels of the two differ by more than a
reader would notice, except where no file defines them.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pyvips

from pipeline.image import vips
from pipeline.size import Size
from tests.benchmarks.chromium.browser import BACKGROUND, NoDecoder, shown, version
from tests.benchmarks.chromium.originals import originals
from tests.benchmarks.pipeline import report
from tests.pipeline.rendering import render_into

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[3]
SIZES = (Size(name="derivative", width=800), Size(name="pixels", width=800, format="png"))
"""The derivative, and its pixels before they are encoded with loss."""

MOST = 3.0
"""Mean CIEDE2000."""

_INKS = "CMYK without a profile has no defined colours"
EXPLAINED = {
    "sharp__Channel_digital_image_CMYK_color_no_profile.jpg": _INKS,
    "thumbor__Giunchedi_2C_Filippo_January_2015_01-cmyk-orientation-exif.jpg": _INKS,
    "inks-no-profile.jpg": _INKS,
    "metadata-extractor-images__Nikon_Coolpix_P7000.webp": "Chromium ignores the orientation of WebP",
}
"""Originals that a browser shows differently, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One original: the program that decoded it for the page, and mean CIEDE2000 to the page."""

    name: str
    decoder: str
    sides: tuple[int, int]
    pixels: float
    derivative: float

    @property
    def is_wrong(self) -> bool:
        """Whether a reader would notice the difference, and it has no explanation."""
        return self.pixels >= MOST and self.name not in EXPLAINED


@click.command()
@click.option("--only", default="", help="Compare only originals whose name contains this text.")
@click.option("--kept", type=click.Path(path_type=Path), help="Folder for the pictures that differ.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "benchmarks-chromium.md")
def main(only: str, kept: Path | None, out: Path) -> None:
    """Compare every photograph of the corpus and painted files of every format; five minutes."""
    browser = version()
    with tempfile.TemporaryDirectory() as folder:
        found = list(_compared(Path(folder), only, kept))
    if not only:
        report.write(out, _markdown(found, browser))
    sys.exit(any(one.is_wrong for one in found))


def _compared(folder: Path, only: str, kept: Path | None) -> Iterator[Compared]:
    painted = folder / "painted"
    painted.mkdir()
    for path in originals(painted):
        if only not in path.name:
            continue
        with tempfile.TemporaryDirectory() as work:
            try:
                one = _compare(path, Path(work), kept)
            except NoDecoder:
                _show(f"    -      - {path.name}: nothing else here reads it")
                continue
        _show(f"{one.pixels:5.2f} {one.derivative:6.2f} {one.name} {one.decoder}{' !' * one.is_wrong}")
        yield one


def _compare(path: Path, work: Path, kept: Path | None) -> Compared:
    encoded, exact = render_into(work / "out", path, *SIZES).derivatives
    sides = exact.width, exact.height
    page, decoder = shown(path, sides, work)
    pixels = _difference(page, exact.path)
    if kept and pixels >= MOST:
        kept.mkdir(exist_ok=True)
        page.write_to_file(str(kept / f"{path.name}-page.png"))
        _flat(exact.path).write_to_file(str(kept / f"{path.name}-ours.png"))
    derivative = _difference(page, encoded.path)
    return Compared(name=path.name, decoder=decoder, sides=sides, pixels=pixels, derivative=derivative)


def _difference(page: pyvips.Image, path: str) -> float:
    return float(page.colourspace("lab").dE00(_flat(path).colourspace("lab")).avg())


def _show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _flat(path: str) -> pyvips.Image:
    picture = pyvips.Image.new_from_file(path).colourspace("srgb")
    return picture.flatten(background=[BACKGROUND]) if picture.hasalpha() else picture


def _markdown(found: Sequence[Compared], browser: str) -> str:
    rows = [
        (
            one.name, one.decoder, f"{one.sides[0]} x {one.sides[1]}", f"{one.pixels:.2f}", f"{one.derivative:.2f}",
            EXPLAINED.get(one.name, ""),
        )
        for one in sorted(found, key=lambda one: one.pixels, reverse=True)
    ]  # fmt: skip
    defined = [one.pixels for one in found if one.name not in EXPLAINED]
    summary = (
        f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {browser}, libvips {vips.VERSION}. {len(found)} originals. Those "
        f"without an explanation differ by {report.median(defined):.2f} in the median, and {max(defined):.2f} at most."
    )
    heads = ("original", "decoder of the page", "dimensions", "pixels", "derivative", "why")
    return f"{summary}\n\n{report.table(heads, rows)}"


if __name__ == "__main__":
    main()
