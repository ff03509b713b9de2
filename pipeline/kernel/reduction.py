"""Reduction of a picture to several sizes in one pass: its rows are pushed from top to bottom."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.kernel.library import (
    LEVEL_TABLE,
    LIBRARY,
    LIGHT_TABLE,
    MOST_REDUCTION,
    NO_PARENT,
    LadderStep,
    row_bytes,
    taps,
    windows_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MIN_REMAINING = 2
"""A reduction beyond `MOST_REDUCTION` leaves at least this much to the level after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A picture to make: its width and height, and the number of the level it is reduced from.

    The first level is reduced from the original, and `source` is None for it alone.
    """

    sides: tuple[int, int]
    source: int | None


@dataclass(frozen=True, slots=True)
class Rung:
    """A level with its parent's dimensions; `made` is the number of the picture, or None if it is only passed on."""

    sides: tuple[int, int]
    source_sides: tuple[int, int]
    parent: int
    made: int | None


def chain(steps: Iterable[tuple[tuple[int, int], bool]]) -> list[Level]:
    """Return the levels for pictures by their dimensions, from the largest down, and whether they are sources.

    Each is reduced from the last source before it, or from the first one.
    """
    levels, source = list[Level](), None
    for number, (sides, is_source) in enumerate(steps):
        levels.append(Level(sides=sides, source=source))
        source = number if is_source or source is None else source
    return levels


def reduce(
    sides: tuple[int, int],
    bands: int,
    levels: Sequence[Level],
    strips: Iterable[bytearray | memoryview],
    *,
    matrix: Sequence[int] | None = None,
) -> list[bytearray]:
    """Return the pixels of each level, reduced with Lanczos3 in linear light; sRGB or grey, 8 bits.

    Args:
        sides: Width and height of the original.
        bands: 3, or 1 for grey.
        levels: The pictures to make; each one follows the one that it is reduced from.
        strips: The rows of the original from top to bottom, any number of whole rows in each; writable memory.
        matrix: Nine numbers in parts of 16,384 that convert the colours, in light, of three bands.

    Raises:
        ValueError: `strips` has fewer or more rows than the original.
        MemoryError: there is not enough memory.
    """
    pictures = [bytearray(level.sides[0] * level.sides[1] * bands) for level in levels]
    steps = rungs(sides, levels)
    held = [(ctypes.c_uint8 * len(picture)).from_buffer(picture) for picture in pictures]
    outs = [None if rung.made is None else ctypes.addressof(held[rung.made]) for rung in steps]
    described = [LadderStep(*rung.sides, rung.parent, out) for rung, out in zip(steps, outs, strict=True)]
    numbers = (ctypes.c_int16 * len(matrix))(*matrix) if matrix else None
    array = (LadderStep * len(steps))(*described)
    ladder = LIBRARY.ladder_new(*sides, bands, array, len(steps), LIGHT_TABLE, LEVEL_TABLE, numbers)
    if not ladder:
        raise MemoryError("no memory for the rows of a reduction")
    try:
        _push(ladder, strips, row_samples=sides[0] * bands, height=sides[1])
    finally:
        LIBRARY.ladder_free(ladder)
    return pictures


def working_bytes(sides: tuple[int, int], bands: int, levels: Sequence[Level]) -> int:
    """Return the bytes that `reduce` holds beside the pictures: rows of light, and weights."""
    return sum(_rung_bytes(rung, bands) for rung in rungs(sides, levels))


def _push(ladder: int, strips: Iterable[bytearray | memoryview], *, row_samples: int, height: int) -> None:
    pushed = 0
    for strip in strips:
        rows, rest = divmod(len(strip), row_samples)
        pixels = (ctypes.c_uint8 * len(strip)).from_buffer(strip)
        if rest or LIBRARY.ladder_push(ladder, pixels, rows) < 0:
            raise ValueError("a strip does not fit into the original")
        pushed += rows
    if pushed != height:
        raise ValueError(f"{pushed} rows of {height}")


def rungs(sides: tuple[int, int], levels: Sequence[Level]) -> list[Rung]:
    """Return all levels to compute: `levels`, and intermediate ones where a reduction exceeds `MOST_REDUCTION`."""
    found: list[Rung] = []
    place: dict[int | None, int] = {None: NO_PARENT}
    for number, level in enumerate(levels):
        parent = place[level.source]
        above = found[parent].sides if level.source is not None else sides
        for between in _between(above, level.sides):
            found.append(Rung(between, above, parent, None))
            parent, above = len(found) - 1, between
        found.append(Rung(level.sides, above, parent, number))
        place[number] = len(found) - 1
    return found


def _between(sides: tuple[int, int], wanted: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the dimensions between two pictures, so that no step reduces a side by more than `MOST_REDUCTION`."""
    while any(side > MOST_REDUCTION * aim for side, aim in zip(sides, wanted, strict=True)):
        width, height = (
            max(-(-side // MOST_REDUCTION), min(side, _MIN_REMAINING * aim))
            for side, aim in zip(sides, wanted, strict=True)
        )
        sides = width, height
        yield sides


def _rung_bytes(rung: Rung, bands: int) -> int:
    (width, height), (across, down) = rung.source_sides, rung.sides
    rows = min(taps(height, down), height) + 1
    windows = windows_bytes(width, across) + windows_bytes(height, down)
    return rows * row_bytes(width, bands) + 2 * row_bytes(across, bands) + windows
