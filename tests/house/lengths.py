"""How long functions and files are."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PERCENT_90 = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """The spread of some lengths in lines."""

    count: int
    median: float
    p90: int
    longest: int


def spread(lengths: Sequence[int]) -> Lengths:
    """Return the spread of lengths; zeros where there are none."""
    ordered = sorted(lengths) or [0]
    return Lengths(
        count=len(lengths),
        median=statistics.median(ordered),
        p90=ordered[min(len(ordered) - 1, int(len(ordered) * PERCENT_90))],
        longest=ordered[-1],
    )
