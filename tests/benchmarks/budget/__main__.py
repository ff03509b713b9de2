"""Measures a crowd of jobs beside page views on a machine of 256 MB: what is killed, what is held, how long views take.

    python -m tests.benchmarks.budget [--jobs 30] [--kinds progressive,dearest,interlaced,avif,corpus]

Ends with 1 if a process was killed, a job failed for another reason than its original, or views are above the bar.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadtest.paint import Photograph, paint
from loadtest.servers.groups import CannotMakeGroups
from tests.pipeline.rendering import photographs
from tests.small_machine import Outcome, crowd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BAR_MILLISECONDS = 50.0
"""For the 99th percentile of page views of what is known."""

MOST_SECONDS = 3600.0
OF_THE_ORIGINAL = {"needs-too-much-memory", "too-many-pixels", "too-many-bytes", "unsupported-format", "corrupt"}
LARGE = Photograph(width=6000, height=4000, noise=8)
PLAIN = Photograph(width=6000, height=4000, noise=1)
"""With little noise: as PNG it would be larger than originals may be otherwise."""


def _progressive(folder: Path) -> list[Path]:
    paint(folder / "progressive.jpg", LARGE, interlace=True, Q=88)
    return [folder / "progressive.jpg"]


def _dearest(folder: Path) -> list[Path]:
    """Without chroma subsampling its coefficients take twice as much."""
    paint(folder / "dearest.jpg", LARGE, interlace=True, Q=88, subsample_mode="off")
    return [folder / "dearest.jpg", *_progressive(folder)]


def _interlaced(folder: Path) -> list[Path]:
    paint(folder / "interlaced.png", PLAIN, interlace=True, compression=6)
    return [folder / "interlaced.png"]


def _avif(folder: Path) -> list[Path]:
    paint(folder / "small.avif", Photograph(width=2000, height=1500, noise=8), bitdepth=12, effort=0)
    paint(folder / "large.avif", PLAIN, bitdepth=12, effort=0)
    return [folder / "small.avif", folder / "large.avif"]


def _corpus(_: Path) -> list[Path]:
    return photographs()


KINDS: dict[str, Callable[[Path], Sequence[Path]]] = {
    "progressive": _progressive,
    "dearest": _dearest,
    "interlaced": _interlaced,
    "avif": _avif,
    "corpus": _corpus,
}


@click.command()
@click.option("--jobs", default=30, show_default=True, help="How many at once; of the corpus, all its photographs.")
@click.option("--kinds", default=",".join(KINDS), show_default=True, help="Which originals, by comma.")
def main(jobs: int, kinds: str) -> None:
    """Post jobs for originals that take much memory, 50 page views a second beside them, in a memory control group."""
    is_off = False
    for kind in kinds.split(","):
        with tempfile.TemporaryDirectory(prefix="gf-images-bench-") as name:
            photos = KINDS[kind](Path(name))
            count = len(photos) if kind == "corpus" else jobs
            try:
                outcome = asyncio.run(crowd(Path(name), photos, jobs=count, seconds=MOST_SECONDS))
            except CannotMakeGroups as reason:
                sys.exit(str(reason))
        is_off |= _show(kind, outcome)
    sys.exit(is_off)


def _show(kind: str, outcome: Outcome) -> bool:
    """Print what came of a crowd; tell whether it is not as it should be."""
    codes = Counter((job.error or {}).get("code", job.status) for job in outcome.jobs)
    p99 = outcome.views.percentile(0.99) * 1000
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{kind}: {outcome.told()}")
    print(f"  {', '.join(f'{code} {count}' for code, count in codes.items())}; load averages {load}")
    print(f"  bar: p99 below {BAR_MILLISECONDS:g} ms, measured {p99:.1f} ms")
    failed = set(codes) - {"done"} - OF_THE_ORIGINAL
    return bool(outcome.kills or failed) or p99 > BAR_MILLISECONDS or set(outcome.views.statuses) != {302}


if __name__ == "__main__":
    main()
