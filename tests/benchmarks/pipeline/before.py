"""Compares this checkout with an earlier one: processor time, scores and bytes of the derivatives of each photograph.

    python -m tests.benchmarks.pipeline.before --base ../earlier [--photos 6] [--rounds 5]

Both render by `gf-images render`, by turns. The processor time of a tiny picture, which is that of the start, is
subtracted. Ends with 1 if a bar is missed.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from loadtest.paint import Photograph as Painted
from loadtest.paint import paint
from tests.benchmarks.pipeline.__main__ import CORPUS, ROOT
from tests.benchmarks.pipeline.photographs import Photograph, photographs
from tests.benchmarks.pipeline.programs import SIZES
from tests.benchmarks.pipeline.quality import REFERENCES, Encoded, bytes_for, score_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT: Final = 76
QUALITIES: Final = (66, DEFAULT, 86)
"""The quality values at which this checkout encodes, to find by interpolation how many bytes a score takes."""

MOST_CPU_RATIO, MOST_BYTES_RATIO, MOST_LOST_POINTS = 0.80, 0.97, 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One photograph: the ratio of processor times, and of each width the points won and the bytes at equal score."""

    cpu_ratio: float
    points: Mapping[int, float]
    bytes_ratios: Mapping[int, float | None]


@click.command()
@click.option("--base", required=True, type=click.Path(path_type=Path, exists=True), help="The earlier checkout.")
@click.option("--photos", "count", type=int, help="How many photographs; all of them when left out.")
@click.option("--rounds", default=5, show_default=True, help="How often each renders each photograph.")
def main(base: Path, count: int | None, rounds: int) -> None:
    """Print a line for each photograph, and what all of them are in the median and at worst."""
    found = []
    with TemporaryDirectory(prefix="gf-images-bench-") as name:
        folder = Path(name)
        tiny = folder / "tiny.jpg"
        paint(tiny, Painted(width=8, height=8))
        for photo in photographs(CORPUS, at_most=count):
            compared = _compare(photo, base.resolve(), tiny, folder, rounds)
            found.append(compared)
            points = " ".join(f"{width}: {won:+.1f}" for width, won in compared.points.items())
            ratios = " ".join("-" if one is None else f"{one:.2f}" for one in compared.bytes_ratios.values())
            _say(f"{photo.name:34} CPU {compared.cpu_ratio:.2f}  points {points}  bytes {ratios}")
    sys.exit(not _is_met(found))


def _is_met(found: Sequence[Compared]) -> bool:
    ratios = [each for one in found for each in one.bytes_ratios.values() if each is not None]
    bars = {
        "CPU, new / old, median": (statistics.median(one.cpu_ratio for one in found), MOST_CPU_RATIO),
        "points lost by any derivative": (
            max((-won for one in found for won in one.points.values()), default=0.0),
            MOST_LOST_POINTS,
        ),
        "bytes at the old score, new / old, median": (statistics.median(ratios or [0.0]), MOST_BYTES_RATIO),
    }
    for what, (measured, most) in bars.items():
        _say(f"bar: {what} at most {most}, measured {measured:.3f}{'' if measured <= most else ' MISSED'}")
    return all(measured <= most for measured, most in bars.values())


def _compare(photo: Photograph, base: Path, tiny: Path, folder: Path, rounds: int) -> Compared:
    cpu: dict[Path, list[float]] = {base: [], ROOT: []}
    for _ in range(rounds):
        for checkout, seconds in cpu.items():
            seconds.append(_render(checkout, photo.path, folder) - _render(checkout, tiny, folder))
    if not photo.is_srgb:  # its references have other colours
        return Compared(cpu_ratio=min(cpu[ROOT]) / min(cpu[base]), points={}, bytes_ratios={})
    with TemporaryDirectory(dir=folder) as name:
        old, *new = (Path(name, str(number)) for number in range(1 + len(QUALITIES)))
        _render(base, photo.path, folder, old)
        for quality, out in zip(QUALITIES, new, strict=True):
            _render(ROOT, photo.path, folder, out, quality)
        encoded = _scored(photo, [old, *new])
    points = {width: new[QUALITIES.index(DEFAULT)].score - old.score for width, (old, *new) in encoded.items()}
    ratios = {width: _ratio(old, new) for width, (old, *new) in encoded.items()}
    return Compared(cpu_ratio=min(cpu[ROOT]) / min(cpu[base]), points=points, bytes_ratios=ratios)


def _ratio(old: Encoded, new: Sequence[Encoded]) -> float | None:
    needed = bytes_for(old.score, new)
    return None if needed is None else needed / old.bytes


def _scored(photo: Photograph, outs: Sequence[Path]) -> dict[int, list[Encoded]]:
    pictures = {size.width: [next(out.glob(f"*_{size.name}.jpg")) for out in outs] for size in SIZES}
    scores = score_all(photo, [one for each in pictures.values() for one in each], ROOT / "build/bench" / REFERENCES)
    return {
        width: [Encoded(bytes=one.stat().st_size, score=scores[one]) for one in each]
        for width, each in pictures.items()
    }


def _render(checkout: Path, path: Path, folder: Path, out: Path | None = None, quality: int = DEFAULT) -> float:
    """Render the sizes of the benchmark with a checkout; return the seconds of processor time."""
    recipe = folder / f"sizes-{quality}.toml"
    recipe.write_text(
        "".join(f"[sizes.{size.name}]\nwidth = {size.width}\nquality = {quality}\n" for size in SIZES), encoding="utf-8"
    )
    with TemporaryDirectory(dir=folder) as unused:
        before = _children_seconds()
        program = checkout / ".venv/bin/gf-images"
        command = [str(word) for word in (program, "render", path, "--out", out or unused, "--sizes-file", recipe)]
        subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return _children_seconds() - before


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
