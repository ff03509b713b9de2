"""Draws the picture of the README: an original beside its four derivatives, as a service of its own renders them.

Run it by `make poster`. It requires chromium (apt-get install chromium).
"""

from __future__ import annotations

import html
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import httpx
import PIL.Image
import pyvips

from loadtest.demo import Job, ended
from loadtest.servers.service import order, running, signed
from tests.benchmarks.page.devtools import LACKS, Screen, browsing, is_there
from tests.benchmarks.poster.leaf import paint_leaf

SIDES = Screen(width=1000, height=500, density=1.5)
KEY = "gall/58/58_1586986467_original.jpg"
MOST_BYTES = 300_000

_PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; font: 14px/1.45 "DejaVu Sans", sans-serif; color: #23301f; background: #f6f5ef; }}
main {{ display: grid; grid-template-columns: 392px 1fr; gap: 34px; padding: 26px 30px; }}
h2 {{ font-size: 15px; margin: 0 0 10px; font-weight: 600; }}
img {{ display: block; border-radius: 4px; }}
p {{ margin: 8px 0 0; }} b {{ font-weight: 600; }}
.bad {{ color: #9c2f1d; }} .good {{ color: #2f6a2b; }}
div {{ display: flex; align-items: end; flex-wrap: wrap; gap: 14px 22px; }} figure {{ margin: 0; }}
figcaption {{ margin-top: 5px; font-size: 12.5px; white-space: nowrap; }}
</style><main><section><h2>The original</h2><img src="{original}" width="392">
<p><b>{sides}</b>, {bytes} kB</p><p class="bad">{metadata}</p></section>
<section><h2>Its four derivatives, from one job</h2><div>{derivatives}</div>
<p class="good">{clean}</p></section></main>"""

_FIGURE = """<figure><img src="{address}" width="{width}">
<figcaption><b>{name}</b> {sides}<br>{bytes} kB</figcaption></figure>"""
_SCALE = 0.145
"""CSS pixels for each pixel of a derivative."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A file of the picture."""

    name: str
    path: Path

    @property
    def sides(self) -> tuple[int, int]:
        """Width and height in pixels."""
        picture = pyvips.Image.new_from_file(str(self.path))
        return picture.width, picture.height

    @property
    def kilobytes(self) -> str:
        """The size of the file."""
        return f"{self.path.stat().st_size / 1000:,.0f}"

    @property
    def metadata(self) -> dict[str, str]:
        """EXIF fields by their names, with values as libvips prints them."""
        picture = pyvips.Image.new_from_file(str(self.path))
        return {name: str(picture.get(name)) for name in picture.get_fields() if name.startswith("exif-ifd")}


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path(__file__).parents[3] / "docs" / "four-sizes.png")
def main(out: Path) -> None:
    """Paint an original, render it by a job, and write the picture of all five files.

    Raises:
        ClickException: the browser is missing, or the job or the picture is not as it should be.
    """
    if not is_there():
        raise click.ClickException(LACKS)
    with tempfile.TemporaryDirectory(prefix="gf-images-poster-") as name:
        folder = Path(name)
        original, derivatives = _rendered(folder)
        page = folder / "page.html"
        page.write_text(_page(original, derivatives), encoding="utf-8")
        with browsing(folder / "profile", SIDES) as tab:
            loader = tab.call("Page.navigate", url=page.as_uri())["loaderId"]
            tab.wait("Page.lifecycleEvent", name="networkIdle", loaderId=loader)
            screenshot = PIL.Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    palette = screenshot.quantize(256, PIL.Image.Quantize.MEDIANCUT, kmeans=2)
    screenshot.quantize(palette=palette, dither=PIL.Image.Dither.FLOYDSTEINBERG).save(out, optimize=True)
    if out.stat().st_size > MOST_BYTES:
        raise click.ClickException(f"{out} has {out.stat().st_size:,} bytes, but the limit is {MOST_BYTES:,}")


def _rendered(folder: Path) -> tuple[Shown, list[Shown]]:
    """Return the original and its derivatives, the widest first."""
    original = folder / "original.jpg"
    paint_leaf(original)
    with running(folder) as service:
        service.put(KEY, original)
        body = order(KEY)
        posted = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body)).raise_for_status()
        job: Job = ended(service, posted.headers["location"])
        if job.status != "done":
            raise click.ClickException(f"the job failed: {job.error}")
        made = [Shown(one.size, service.store / one.key) for one in sorted(job.derivatives, key=lambda one: -one.width)]
        leaking = [one.name for one in made if any("GPS" in field for field in one.metadata)]
        if leaking:
            raise click.ClickException(f"a position is left in {', '.join(leaking)}")
    return Shown("original", original), made


def _page(original: Shown, derivatives: list[Shown]) -> str:
    found = original.metadata
    owner = html.escape(found["exif-ifd0-Artist"].partition(" (")[0])
    figures = "".join(
        _FIGURE.format(
            address=one.path.as_uri(),
            width=round(one.sides[0] * _SCALE),
            name=one.name,
            sides=_sides(one),
            bytes=one.kilobytes,
        )
        for one in derivatives
    )
    left = sum(len(one.metadata) for one in derivatives)
    return _PAGE.format(
        original=original.path.as_uri(),
        sides=_sides(original),
        bytes=original.kilobytes,
        metadata=f"{len(found)} EXIF fields: the camera, the name of {owner},<br>and the place: "
        f"{_degrees(found['exif-ifd3-GPSLatitude'])} N, {_degrees(found['exif-ifd3-GPSLongitude'])} E",
        derivatives=figures,
        clean=f"{left} EXIF fields: no camera, no name, no place",
    )


def _sides(one: Shown) -> str:
    return "{} &times; {}".format(*one.sides)


def _degrees(field: str) -> str:
    """Return degrees, minutes and seconds of a field such as `47/1 22/1 3000/100 (47, 22, 30.00, …)`."""
    rationals = (part.split("/") for part in field.partition(" (")[0].split())
    degrees, minutes, seconds = (float(above) / float(below) for above, below in rationals)
    return f"{degrees:.0f}&deg;{minutes:.0f}&prime;{seconds:.0f}&Prime;"


if __name__ == "__main__":
    main()
