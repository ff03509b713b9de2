"""What the measurements say: the bars that we hold ourselves to, and the tables behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.pipeline.costs import SOAK_EARLY, SOAK_LATE
from tests.benchmarks.pipeline.programs import SIZES
from tests.benchmarks.pipeline.report import Bar, above, bars, below, median, table
from tests.benchmarks.pipeline.stopwatch import MEGABYTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.benchmarks.pipeline.costs import HandOver, Soaked, Spent
    from tests.benchmarks.pipeline.quality import Judged

MOST_CPU_RATIO = 0.65
MOST_BYTES_RATIO = 0.85
MOST_HAND_OVER_MS = 250.0
MOST_GROWTH_MB = 10.0
LEAST_SCORE = 90.0
LEAST_GAIN = 5.0
_GAINING_WIDTHS = (800, 300)
_PEAKS = (((11.5, 13.5), 60.0), ((22.0, 26.5), 60.0))
"""Bars on memory, in MB, for baseline JPEGs between so many megapixels."""

_PROGRAMS = ("ours", "sharp", "Pillow", "Jimp", "floor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that one run measured."""

    timings: Sequence[Spent]
    judged: Sequence[Judged]
    soaked: Soaked
    handed: HandOver
    machine: str

    def markdown(self) -> str:
        """Write it all for the document."""
        parts = [
            self.machine,
            bars(self.bars()),
            "### What four sizes cost, median of the photographs of 8 megapixels and more",
            self._cost_table(),
            "### Photograph by photograph",
            self._photo_table(),
            "### SSIMULACRA2 of the pixels before encoding: median, least",
            self._score_table(),
            "### Bytes for the score of sharp's default JPEG, over the bytes of that",
            self._bytes_table(),
        ]
        return "\n\n".join(parts)

    def bars(self) -> list[Bar]:
        """Hold the numbers against the bars."""
        ratios = self._ratios("cpu_seconds", "sharp")
        return [
            below("CPU of four sizes, ours / sharp, median from 8 MP up", median(ratios.values()), MOST_CPU_RATIO),
            *(self._peak_bar(between, most) for between, most in _PEAKS),
            *(self._score_bar(size.width) for size in SIZES),
            *(self._gain_bar(width) for width in _GAINING_WIDTHS),
            below("bytes at sharp's score, ours / sharp, median", median(self._bytes()), MOST_BYTES_RATIO),
            below("hand-over of a small image", self.handed.seconds * 1000, MOST_HAND_OVER_MS, unit=" ms"),
            below(
                f"memory after {SOAK_LATE} mixed renders, above that after {SOAK_EARLY}",
                (self.soaked.late_bytes - self.soaked.early_bytes) / MEGABYTE,
                MOST_GROWTH_MB,
                unit=" MB",
            ),
        ]

    def _ratios(self, what: str, peer: str) -> dict[str, float]:
        theirs = {one.photo.path: one for one in self._costs(peer) if one.photo.is_large}
        own = [one for one in self._costs("ours") if one.photo.path in theirs]
        return {one.photo.name: getattr(one, what) / getattr(theirs[one.photo.path], what) for one in own}

    def _costs(self, program: str) -> list[Spent]:
        return [one for one in self.timings if one.program == program and one.failure is None]

    def _peak_bar(self, between: tuple[float, float], most: float) -> Bar:
        low, high = between
        peaks = {
            one.photo.name: one.peak_bytes / MEGABYTE
            for one in self._costs("ours")
            if low <= one.photo.megapixels <= high and not one.photo.is_progressive
        }
        over = [f"{name} {peak:.0f} MB" for name, peak in peaks.items() if peak > most]
        name = f"peak memory, baseline JPEG of {low:g} to {high:g} MP, median"
        return below(name, median(peaks.values()), most, unit=" MB", exceptions=over)

    def _score_bar(self, width: int) -> Bar:
        scores = {one.photo.name: one.pixels["ours"] for one in self.judged if one.width == width}
        under = [f"{name} {score:.1f}" for name, score in scores.items() if score < LEAST_SCORE]
        least = min(scores.values(), default=float("nan"))
        return above(f"SSIMULACRA2 of pixels at {width}, least", least, LEAST_SCORE, exceptions=under)

    def _gain_bar(self, width: int) -> Bar:
        gains = [one.pixels["ours"] - one.pixels["sharp"] for one in self.judged if one.width == width]
        return above(f"SSIMULACRA2 above sharp's pixels at {width}, median", median(gains), LEAST_GAIN)

    def _bytes(self, width: int | None = None) -> list[float]:
        asked = [one for one in self.judged if width in (None, one.width)]
        return [one.bytes_ratio for one in asked if one.bytes_ratio is not None]

    def _cost_table(self) -> str:
        heads = ("program", "CPU ms", "ours / it", "wall ms", "ours / it", "peak MB", "photographs")
        return table(heads, [self._cost_row(name) for name in _PROGRAMS if self._costs(name)])

    def _cost_row(self, name: str) -> tuple[str, ...]:
        costs = [one for one in self._costs(name) if one.photo.is_large]
        return (
            name,
            f"{median(one.cpu_seconds for one in costs) * 1000:.0f}",
            f"{median(self._ratios('cpu_seconds', name).values()):.2f}",
            f"{median(one.wall_seconds for one in costs) * 1000:.0f}",
            f"{median(self._ratios('wall_seconds', name).values()):.2f}",
            f"{median(one.peak_bytes for one in costs) / MEGABYTE:.0f}",
            f"{len(costs)}" + (f" ({self._failed(name)} refused)" if self._failed(name) else ""),
        )

    def _failed(self, name: str) -> int:
        return sum(one.program == name and one.failure is not None for one in self.timings)

    def _photo_table(self) -> str:
        sharps = {one.photo.path: one for one in self._costs("sharp")}
        rows = [(one, sharps[one.photo.path]) for one in self._costs("ours") if one.photo.path in sharps]
        return table(
            ("photograph", "MP", "kind", "CPU ms", "sharp's", "ratio", "peak MB", "sharp's"),
            [_photo_row(own, other) for own, other in rows],
        )

    def _score_table(self) -> str:
        names = sorted({name for one in self.judged for name in one.pixels}, reverse=True)
        return self._by_width("pixels of", names, self._scores)

    def _scores(self, name: str, width: int) -> str:
        scores = [one.pixels[name] for one in self.judged if one.width == width]
        return f"{median(scores):.1f}, {min(scores):.1f}" if scores else ""

    def _bytes_table(self) -> str:
        return self._by_width("JPEG of", ["ours"], lambda _, width: f"{median(self._bytes(width)):.2f}")

    def _by_width(self, head: str, names: Iterable[str], cell: Callable[[str, int], str]) -> str:
        widths = [size.width for size in SIZES]
        return table((head, *map(str, widths)), [(name, *(cell(name, width) for width in widths)) for name in names])


def _photo_row(own: Spent, other: Spent) -> tuple[str, ...]:
    kinds = [
        "progressive" if own.photo.is_progressive else "",
        "" if own.photo.is_srgb else "wide gamut",
        "portrait" if own.photo.height > own.photo.width else "",
    ]
    return (
        own.photo.name,
        f"{own.photo.megapixels:.1f}",
        ", ".join(filter(None, kinds)),
        f"{own.cpu_seconds * 1000:.0f}",
        f"{other.cpu_seconds * 1000:.0f}",
        f"{own.cpu_seconds / other.cpu_seconds:.2f}",
        f"{own.peak_bytes / MEGABYTE:.0f}",
        f"{other.peak_bytes / MEGABYTE:.0f}",
    )
