"""Reduction of a picture to several sizes in one pass: its rows are pushed from top to bottom."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.kernel.library import (
    FROM_ORIGINAL,
    LEVEL_OF_LIGHT,
    LIBRARY,
    LIGHT_OF_LEVEL,
    MOST_REDUCTION,
    MOST_RUNGS,
    MOST_SIDE,
    WEIGHT_BITS,
    RungStruct,
    row_bytes,
    taps,
    windows_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MIN_REMAINING = 2
"""How many times the wanted side a rung between is at least, unless its source is less.

So the last reduction still weights several inputs for each output, and its windows determine how
sharp the picture is, as they do without a rung between.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPicture:
    """A picture to make: its width and height, and the number of the picture it is reduced from.

    The first picture is reduced from the original, and `source` is None for it alone.
    """

    sides: tuple[int, int]
    source: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A picture that is computed: for itself, or as a source only.

    `source` is the number of an earlier rung, or `FROM_ORIGINAL`, and `source_sides` are its width
    and height. `picture` is the number of the wanted picture, or None if it is a source only.
    """

    sides: tuple[int, int]
    source_sides: tuple[int, int]
    source: int
    picture: int | None


def chain(steps: Iterable[tuple[tuple[int, int], bool]]) -> list[WantedPicture]:
    """Return the wanted pictures for steps, each of which has its sides and whether it is a source.

    Steps are sorted from the largest picture down. Each is reduced from the last source before it.
    The first one always counts as a source.
    """
    pictures, source = list[WantedPicture](), None
    for number, (sides, is_source) in enumerate(steps):
        pictures.append(WantedPicture(sides=sides, source=source))
        source = number if is_source or source is None else source
    return pictures


def reduce(
    sides: tuple[int, int],
    bands: int,
    wanted: Sequence[WantedPicture],
    strips: Iterable[bytearray | memoryview],
    *,
    matrix: Sequence[int] | None = None,
) -> list[bytearray]:
    """Return the pixels of each wanted picture, 8 bits a sample, sRGB or grey.

    They are reduced with Lanczos3 in linear light; a side may also be enlarged.

    Args:
        sides: Width and height of the original.
        bands: 3, or 1 for grey.
        wanted: The pictures; each one follows the one that it is reduced from.
        strips: The rows of the original from top to bottom, any number of whole rows in each, 8
            bits a sample with sRGB's curve; writable memory without gaps.
        matrix: Nine numbers in parts of 16,384 that convert the colours of three bands, in light,
            from the original's primaries to those of sRGB, row by row: the first three make red.
            The absolute numbers of a row add up to less than 2.

    Raises:
        ValueError: a number is out of range, or `source` is not as described; a strip is not whole
            rows, or the rows are fewer or more than the original's.
        TypeError: the memory of a strip cannot be written to, or has gaps.
        MemoryError: there is not enough memory.
    """
    computed = rungs(sides, wanted)
    if not computed or bands not in (1, 3):
        raise ValueError(f"{len(wanted)} pictures of {bands} bands")
    matrix_array = None if matrix is None else _matrix(matrix, bands)
    pictures = [bytearray(picture.sides[0] * picture.sides[1] * bands) for picture in wanted]
    # They keep the memory of the pictures in place until all rows are pushed.
    held = [(ctypes.c_uint8 * len(picture)).from_buffer(picture) for picture in pictures]
    structs = (RungStruct * len(computed))()
    for struct, rung in zip(structs, computed, strict=True):
        out = None if rung.picture is None else ctypes.addressof(held[rung.picture])
        struct.width, struct.height, struct.source, struct.out = *rung.sides, rung.source, out
    ladder = LIBRARY.ladder_new(
        *sides, bands, structs, len(computed), LIGHT_OF_LEVEL, LEVEL_OF_LIGHT, matrix_array
    )
    if not ladder:
        raise MemoryError("no memory for the rows of a reduction")
    try:
        _push(ladder, strips, row_samples=sides[0] * bands, height=sides[1])
    finally:
        LIBRARY.ladder_free(ladder)
    return pictures


def working_bytes(sides: tuple[int, int], bands: int, wanted: Sequence[WantedPicture]) -> int:
    """Return about the bytes that `reduce` holds beside the pictures: rows of light, and weights.

    A second finished row is counted for every rung, but only the first one of a reduction with a
    matrix holds it. The structs and the room behind a row are not counted: less than a kilobyte a
    rung.

    Raises:
        ValueError: as for `rungs`.
    """
    return sum(_rung_bytes(rung, bands) for rung in rungs(sides, wanted))


def rungs(sides: tuple[int, int], wanted: Sequence[WantedPicture]) -> list[Rung]:
    """Return all pictures to compute for an original of these dimensions, each after its source.

    They are the wanted ones, and others between where a reduction exceeds `MOST_REDUCTION`.

    Raises:
        ValueError: a side is not 1 to `MOST_SIDE`; `source` is None, but not for the first picture,
            or is no earlier picture; or these are more than `MOST_RUNGS`.
    """
    _check_sides(sides)
    found = list[Rung]()
    rung_of: dict[int | None, int] = {None: FROM_ORIGINAL}
    for number, picture in enumerate(wanted):
        _check_sides(picture.sides)
        if picture.source not in rung_of or (picture.source is None) != (number == 0):
            raise ValueError(f"picture {number} cannot be reduced from {picture.source}")
        source = rung_of[picture.source]
        above = sides if source == FROM_ORIGINAL else found[source].sides
        for between in _between(above, picture.sides):
            found.append(Rung(sides=between, source_sides=above, source=source, picture=None))
            source, above = len(found) - 1, between
        found.append(Rung(sides=picture.sides, source_sides=above, source=source, picture=number))
        rung_of[number] = len(found) - 1
    if len(found) > MOST_RUNGS:
        raise ValueError(f"{len(found)} pictures to compute, above {MOST_RUNGS}")
    return found


def _between(sides: tuple[int, int], wanted: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the dimensions between two pictures, so that none reduces by over `MOST_REDUCTION`."""
    while any(side > MOST_REDUCTION * aim for side, aim in zip(sides, wanted, strict=True)):
        width, height = (
            max(-(-side // MOST_REDUCTION), min(side, _MIN_REMAINING * aim))
            for side, aim in zip(sides, wanted, strict=True)
        )
        sides = width, height
        yield sides


def _check_sides(sides: tuple[int, int]) -> None:
    width, height = sides
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        raise ValueError(f"a picture of {width} x {height}: sides are 1 to {MOST_SIDE}")


def _matrix(matrix: Sequence[int], bands: int) -> ctypes.Array[ctypes.c_int16]:
    """Return a matrix as C takes it, in which no sum of products leaves 32 bits."""
    if bands != len("RGB") or len(matrix) != len("RGB") ** 2:
        raise ValueError(f"a matrix of {len(matrix)} numbers for {bands} bands")
    rows = matrix[:3], matrix[3:6], matrix[6:]
    if any(sum(map(abs, row)) >= 2 << WEIGHT_BITS for row in rows):
        raise ValueError(f"the absolute numbers of a row add up to 2 or more: {matrix}")
    return (ctypes.c_int16 * len(matrix))(*matrix)


def _push(
    ladder: int, strips: Iterable[bytearray | memoryview], *, row_samples: int, height: int
) -> None:
    pushed = 0
    for strip in strips:
        size = memoryview(strip).nbytes
        rows, rest = divmod(size, row_samples)
        pixels = (ctypes.c_uint8 * size).from_buffer(strip)
        if rest or rows > height - pushed or LIBRARY.ladder_push(ladder, pixels, rows) < 0:
            raise ValueError(f"a strip of {size} bytes after {pushed} of {height} rows")
        pushed += rows
    if pushed != height:
        raise ValueError(f"{pushed} rows of {height}")


def _rung_bytes(rung: Rung, bands: int) -> int:
    """Return the bytes of a rung: its ring and `merged`, `row` and `converted`, and its windows."""
    (width, height), (across, down) = rung.source_sides, rung.sides
    slots, merged, finished = min(taps(height, down), height), 1, 2
    rows = (slots + merged) * row_bytes(width, bands) + finished * row_bytes(across, bands)
    return rows + windows_bytes(width, across) + windows_bytes(height, down)
