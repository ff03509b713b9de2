"""The reduction of `pipeline.kernel` once more, in Python's whole numbers and numpy, as plainly as possible."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pipeline.kernel.light import ALL_LIGHTS, levels_of_light, light_of_levels
from pipeline.kernel.reduction import WantedPicture

if TYPE_CHECKING:
    from collections.abc import Sequence

Array: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"

UNIT = 1 << 28
ONE = 1 << 14
THIRD_OF_PI_SQUARED = 294_372_418
LIGHT_OF_LEVEL = np.array(light_of_levels())
LEVEL_OF_LIGHT = np.frombuffer(levels_of_light(), np.uint8)
MATRIX = (20_069, -3685, 0, -689, 17_073, 0, -322, -1288, 17_994)
"""From the light of Display P3 to that of sRGB, in parts of 16,384."""

CONTENTS = ("noise", "black and white noise", "chessboard", "stripes", "columns", "white", "one bright pixel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """An original and the pictures to make of it."""

    sides: tuple[int, int]
    bands: int
    wanted: tuple[WantedPicture, ...]
    pixels: bytes = field(repr=False)
    is_converted: bool = False
    """Whether `MATRIX` converts the colours."""

    @property
    def matrix(self) -> tuple[int, ...] | None:
        """The matrix that converts the colours."""
        return MATRIX if self.is_converted else None

    @property
    def array(self) -> Array:
        """The pixels in rows."""
        found = np.frombuffer(self.pixels, np.uint8).astype(np.int64)
        rows: Array = found.reshape(self.sides[1], self.sides[0], self.bands)
        return rows

    def strips(self, random: Random) -> list[bytearray]:
        """Cut the pixels into strips of a few rows each."""
        row, found, start = self.sides[0] * self.bands, list[bytearray](), 0
        while start < len(self.pixels):
            rows = random.randint(0, 9)
            found.append(bytearray(self.pixels[start : start + rows * row]))
            start += rows * row
        return found


def seeded(seed: int) -> Random:
    """Return a source of chance that can be repeated."""
    return Random(seed)  # noqa: S311 - reproducible pictures, not cryptography


def shape(random: Random, *, most: int = 80, most_reduction: int = 12) -> Shape:
    """Return an original and pictures by chance; each may be reduced from its source by up to `most_reduction`."""
    sides, bands = (random.randint(1, most), random.randint(1, most)), random.choice((1, 3))
    wanted = list[WantedPicture]()
    for number in range(random.randint(1, 5)):
        source = random.randrange(number) if number else None
        above = sides if source is None else wanted[source].sides
        least = [-(-side // most_reduction) for side in above]
        width, height = (
            random.choice((side, random.randint(low, side + 2))) for low, side in zip(least, above, strict=True)
        )
        wanted.append(WantedPicture(sides=(width, height), source=source))
    pixels = content(random, random.choice(CONTENTS), sides, bands)
    is_converted = bands == len("RGB") and random.random() < 0.5
    return Shape(sides=sides, bands=bands, wanted=tuple(wanted), pixels=pixels, is_converted=is_converted)


def content(random: Random, kind: str, sides: tuple[int, int], bands: int) -> bytes:
    """Return pixels of a kind; those of black and white beside each other overshoot the most."""
    width, height = sides
    noise = random.randbytes(width * height * bands)
    if kind == "noise":
        return noise
    if kind == "black and white noise":
        return bytes(255 * (level & 1) for level in noise)
    if kind == "one bright pixel":
        bright = random.randrange(width * height)
        return b"".join((b"\xff" if pixel == bright else b"\0") * bands for pixel in range(width * height))
    period = random.randint(1, 4)
    steps = {"chessboard": (1, 1), "stripes": (0, 1), "columns": (1, 0), "white": (0, 0)}[kind]
    return b"".join(
        (b"\0" if (x * steps[0] + y * steps[1]) // period % 2 else b"\xff") * bands
        for y in range(height)
        for x in range(width)
    )


def reduced(original: Shape, rungs: Sequence[tuple[tuple[int, int], int]]) -> list[bytes]:
    """Return the pixels of each rung: its dimensions, and the number of the one it is reduced from, or -1."""
    made = list[Array]()
    for sides, source in rungs:
        above = LIGHT_OF_LEVEL[original.array] if source < 0 else made[source]
        down, across = matrix(above.shape[0], sides[1]), matrix(above.shape[1], sides[0])
        merged = saturated(np.einsum("oh,hwc->owc", down, above))
        rows = saturated(np.einsum("pw,owc->opc", across, merged))
        if original.is_converted and source < 0:
            rows = saturated(np.einsum("dc,opc->opd", np.array(MATRIX).reshape(3, 3), rows))
        made.append(rows)
    return [LEVEL_OF_LIGHT[light - ALL_LIGHTS.start].tobytes() for light in made]


def saturated(sums: Array) -> Array:
    """Round sums of weighted light to 16 bits."""
    assert int(np.abs(sums).max()) < 1 << 30, "a sum has 32 bits"
    found: Array = np.clip((sums + ONE // 2) >> 14, -32_768, 32_767)
    return found


@cache
def matrix(inputs: int, outputs: int) -> Array:
    """Return the weight of each input in each output."""
    found = np.zeros((outputs, inputs), np.int64)
    for output in range(outputs):
        first, weights = window(inputs, outputs, output)
        found[output, first : first + len(weights)] = weights
    return found


def window(inputs: int, outputs: int, output: int) -> tuple[int, list[int]]:
    """Return the first input of an output, and the weights from there on."""
    longer = max(inputs, outputs)
    count = -(-6 * longer // outputs)
    count = min(inputs, count + count % 2)
    first = next(one for one in range(inputs + 1) if (2 * one + 1) * outputs - (2 * output + 1) * inputs > -6 * longer)
    first = max(0, min(first, inputs - count))
    values = [
        lanczos3(abs((2 * one + 1) * outputs - (2 * output + 1) * inputs), 2 * longer)
        for one in range(first, first + count)
    ]
    sums = [share(sum(values[:end]), sum(values)) for end in range(count + 1)]
    return first, [after - before for before, after in pairwise(sums)]


def share(part: int, whole: int) -> int:
    """Return a part of the whole in units of a weight, rounded."""
    return (part * ONE + whole // 2) // whole


def lanczos3(numerator: int, denominator: int) -> int:
    """Return the Lanczos kernel of three lobes in fixed point."""
    if numerator >= 3 * denominator:
        return 0
    x = numerator * UNIT // denominator
    y = x * x // UNIT * THIRD_OF_PI_SQUARED // UNIT
    q = UNIT
    for n in range(18, 0, -2):
        q = UNIT - towards_zero(towards_zero(y * q, UNIT), n * (n + 1))
    q_squared = q * q // UNIT
    s_squared = y * q_squared // UNIT
    return towards_zero(q_squared * (3 * UNIT - 4 * s_squared), 3 * UNIT)


def towards_zero(one: int, other: int) -> int:
    """Divide as C does; `other` is positive."""
    return one // other if one >= 0 else -(-one // other)
