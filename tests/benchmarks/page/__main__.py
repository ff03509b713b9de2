"""Measures a page of 40 photographs in Chromium, cold and warm, on 3G: `python -m tests.benchmarks.page`.

Ends with 1 if the page moves, if a placeholder is missing from the first paint, or if a file is larger than needed.
"""

from __future__ import annotations

import datetime as dt
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import PIL.Image

from loadtest.servers.service import SECRET, running
from tests.benchmarks.page.devtools import LACKS, PROGRAM, Screen, browsing, is_there
from tests.benchmarks.page.gallery import page, served
from tests.benchmarks.page.sheet import sheet
from tests.benchmarks.page.visit import THIRD_GENERATION, visit
from tests.benchmarks.pipeline import report
from tests.clients.test_python import client
from tests.main_site import node
from tests.pipeline.rendering import photographs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadtest.servers.service import Service
    from tests.benchmarks.page.visit import Visit

DOCS = Path(__file__).parents[3] / "docs"
SCREENS = {
    "phone": Screen(width=412, height=915, density=2.625),
    "laptop": Screen(width=1366, height=768, density=1),
}
SHEET_STEP = 5
"""Every fifth photograph is on the sheet: neighbours in the corpus are alike."""
MOST_DIFFERENT = 15.0
"""CIEDE2000 between a placeholder and its picture, both shrunk to 36 cells: a gross difference is above it."""

KILOBYTE = 1000


@click.command()
@click.option("--photos", default=40, help="How many photographs the page has.")
@click.option("--out", type=click.Path(path_type=Path), default=DOCS / "benchmarks-page.md")
@click.option("--sheet", "sheet_path", type=click.Path(path_type=Path), default=DOCS / "placeholders.png")
def main(photos: int, out: Path, sheet_path: Path) -> None:
    """Measure the page, and write the contact sheet of placeholders; five minutes."""
    if not is_there():
        raise click.ClickException(LACKS)
    with tempfile.TemporaryDirectory() as name, running(folder := Path(name), RENDER_TIMEOUT_SECONDS="300") as service:
        described, original_bytes = _rendered(service, photos)
        html = page(described, base=service.url)
        with served(html) as url:
            visits = [one for kind in SCREENS for one in _visits(folder / kind, kind, url)]
        decoder = (node.prepare() / "node_modules" / "thumbhash" / "thumbhash.js").read_text()
        png = sheet(described[::SHEET_STEP], folder / "sheet", base=service.url, decoder=decoder)
    with PIL.Image.open(io.BytesIO(png)) as shown:
        shown.convert("RGB").save(sheet_path, optimize=True)
    report.write(out, _markdown(visits, len(html), original_bytes))
    sys.exit(any(faults for *_, faults in _judged(visits)))


def _rendered(service: Service, most: int) -> tuple[list[dict[str, Any]], int]:
    """Return the descriptions of photographs, and the bytes of their originals."""
    images, described, original_bytes = client.ImageService(service.url, SECRET, timeout_seconds=300), [], 0
    for number, path in enumerate(photographs()):
        key = f"gall/{number}/{number}_1_original{path.suffix.lower()}"
        service.put(key, path)
        try:
            picture = images.picture(key)
        except client.ServiceError as refused:
            sys.stdout.write(f"{path.name}: {refused}\n")
            continue
        if {size["content_type"] for size in picture["sizes"]} == {"image/jpeg"}:
            described.append(picture)
            original_bytes += path.stat().st_size
        if len(described) == most:
            break
    return described, original_bytes


def _visits(folder: Path, kind: str, url: str) -> Iterator[tuple[str, str, Visit]]:
    screen = SCREENS[kind]
    with browsing(folder, screen) as tab:
        tab.call("Network.emulateNetworkConditions", **THIRD_GENERATION)
        for state in ("cold", "warm"):
            yield kind, state, visit(tab, url, screen)


def _judged(visits: Sequence[tuple[str, str, Visit]]) -> Iterator[tuple[str, str, Visit, list[str]]]:
    for kind, state, one in visits:
        faults = [f"{kind}, {state}: {shown.url} is larger than needed" for shown in one.pictures if shown.is_too_large]
        faults += [f"{kind}, {state}: the page moves by {one.shift:.4f}"] * (one.shifts > 0)
        faults += [
            f"{kind}, {state}: the placeholder of {shown.url} differs by {shown.placeholder:.1f}"
            for shown in one.pictures
            if state == "cold" and shown.placeholder is not None and shown.placeholder > MOST_DIFFERENT
        ]
        yield kind, state, one, faults


def _markdown(visits: Sequence[tuple[str, str, Visit]], html_bytes: int, original_bytes: int) -> str:
    rows, faults = [], []
    for kind, state, one, found in _judged(visits):
        faults += found
        seen = [shown.placeholder for shown in one.pictures if shown.placeholder is not None]
        blank = [shown.blank for shown in one.pictures if shown.blank is not None]
        is_cold = state == "cold"
        rows.append(
            (
                f"{kind}, {state}", f"{one.shift:g}", f"{one.loaded_at_first_paint}",
                f"{report.median(seen):.1f} of {report.median(blank):.0f}" if is_cold else "",
                f"{sum(shown.is_too_large for shown in one.pictures)}",
                f"{(one.page_bytes + one.picture_bytes) / KILOBYTE:,.0f}",
                f"{one.requests}", f"{one.first_paint_seconds:.1f}", f"{one.end_seconds:.1f}",
            )
        )  # fmt: skip
    heads = (
        "visit", "layout shift", "pictures loaded at the first paint", "placeholder differs by", "too large", "kB",
        "requests", "first paint, s", "end, s",
    )  # fmt: skip
    browser = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    summary = (
        f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {browser.splitlines()[-1].strip()}. "
        f"{len(visits[0][2].pictures)} photographs; their originals have {original_bytes / KILOBYTE:,.0f} kB, "
        f"the HTML with all placeholders {html_bytes / KILOBYTE:.0f} kB."
    )
    return "\n\n".join([summary, report.table(heads, rows), *faults])


if __name__ == "__main__":
    main()
