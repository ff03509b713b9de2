"""Measure the pipeline against its peers on the same photographs: `python -m tests.benchmarks.pipeline --help`."""

from __future__ import annotations

import datetime as dt
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.image import vips
from tests.benchmarks.pipeline import costs, programs, quality, report, tools
from tests.benchmarks.pipeline.findings import Findings
from tests.benchmarks.pipeline.photographs import everything, photographs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.pipeline.costs import Spent
    from tests.benchmarks.pipeline.photographs import Photograph
    from tests.benchmarks.pipeline.quality import Judged

ROOT = Path(__file__).parents[3]
CORPUS = Path(os.environ.get("IMAGE_CORPUS", ROOT / ".." / "shared" / "images"))
JIMPED = 2
"""Photographs that Jimp renders: each takes it 5 to 10 seconds."""


@click.command()
@click.option("--photos", type=int, help="How many photographs, for a quick run; all of them when left out.")
@click.option("--rounds", type=int, default=5, show_default=True, help="How often each program renders each.")
@click.option("--corpus", type=click.Path(path_type=Path), default=CORPUS, help="A folder with photos/manifest.tsv.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "benchmarks.md", help="The document.")
def main(photos: int | None, rounds: int, corpus: Path, out: Path) -> None:
    """Measure the pipeline against sharp, Pillow and Jimp, and write docs/benchmarks.md.

    Installs what it needs into build/bench. A full run takes a quarter of an hour on two quiet cores; for example:

    python -m tests.benchmarks.pipeline --photos 3 --rounds 1 --out /tmp/benchmarks.md
    """
    began, folder, chosen = time.monotonic(), ROOT / "build" / "bench", photographs(corpus, at_most=photos)
    tools.install(folder)
    findings = Findings(
        timings=[*_timings(chosen, folder, rounds=rounds), *_jimp(chosen, folder)],
        judged=list(_judged(chosen, folder)),
        soaked=costs.soak(everything(corpus)),
        handed=costs.hand_over(everything(corpus)),
        machine=_machine(len(chosen), rounds),
    )
    measured = findings.markdown()
    print(f"\n{measured}\n\n{time.monotonic() - began:.0f} seconds; written to {out}")
    _write(out, measured)


def _timings(photos: Sequence[Photograph], folder: Path, *, rounds: int) -> Iterator[Spent]:
    peers = (programs.ours(), programs.sharp(folder), programs.pillow(folder), programs.floor())
    for timings in costs.compare(photos, peers, rounds=rounds):
        peak = timings.peak_bytes >> 20
        print(
            f"{timings.photo.name:34} {timings.program:7} {timings.cpu_seconds * 1000:6.0f} ms CPU {peak:4} MB",
            flush=True,
        )
        yield timings


def _jimp(photos: Sequence[Photograph], folder: Path) -> Iterator[Spent]:
    for photo in [photo for photo in photos if photo.is_large][:JIMPED]:
        timings = costs.once(photo, programs.jimp(folder), warm=False)
        print(f"{photo.name:34} Jimp    {timings.cpu_seconds * 1000:6.0f} ms CPU {timings.failure or ''}", flush=True)
        yield timings


def _judged(photos: Sequence[Photograph], folder: Path) -> Iterator[Judged]:
    alike = [photo for photo in photos if photo.is_srgb]
    for judged in quality.judge(alike, folder):
        scores = " ".join(f"{name} {score:.1f}" for name, score in judged.pixels.items())
        weight = "" if judged.bytes_ratio is None else f"; bytes {judged.bytes_ratio:.2f}"
        print(f"{judged.photo.name:34} {judged.width:4} {scores}{weight}", flush=True)
        yield judged


def _machine(photos: int, rounds: int) -> str:
    peers = ", ".join(
        (*tools.NODE_PACKAGES, *tools.PYTHON_PACKAGES, f"judge from ssimulacra2=={version('ssimulacra2')}")
    )
    return (
        f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} processors, "
        f"libvips {vips.VERSION}, Python {platform.python_version()}; {peers}. {photos} photographs, least CPU of "
        f"{rounds} fresh processes each, one thread a program, the same JPEG settings for sharp as for us."
    )


def _write(document: Path, measured: str) -> None:
    if not document.exists():
        document.write_text(f"{report.BEGIN}\n{report.END}\n", encoding="utf-8")
    report.write(document, measured)


if __name__ == "__main__":
    main()
