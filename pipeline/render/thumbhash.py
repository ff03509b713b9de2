"""ThumbHash of a small picture: some 25 bytes that describe its colours, its shape and its aspect ratio.

The format is Evan Wallace's, of https://evanw.github.io/thumbhash/. It stores a cosine transform of luminance, of two
differences of colours and of alpha, each coefficient in four bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_TOP = 255

_LUMINANCE, _LUMINANCE_BESIDE_ALPHA = 7, 5
"""Coefficients of luminance along the longer side, without and with alpha."""

_COLOUR, _ALPHA = 3, 5
"""Coefficients of each other channel along both sides."""


@dataclass(frozen=True, slots=True)
class _Channel:
    """The cosine transform of one channel: its mean, its coefficients in rows, and the largest of them."""

    mean: float
    coefficients: Sequence[float]
    scale: float

    def nibbles(self) -> Iterator[int]:
        """Yield each coefficient as a number of four bits."""
        for coefficient in self.coefficients:
            yield _rounded(7.5 + 7.5 * coefficient / self.scale) if self.scale else 0


def thumbhash(sides: tuple[int, int], bands: Sequence[bytes]) -> bytes:
    """Return the ThumbHash of the pixels of a picture of at most 100 x 100.

    Args:
        sides: Width and height.
        bands: Red, green, blue and alpha, one byte a pixel, from the top left.
    """
    width, height = sides
    opacity = [value / _TOP for value in bands[3]]
    has_alpha = sum(bands[3]) < _TOP * width * height
    colours = [_over_mean(band, opacity) if has_alpha else [value / _TOP for value in band] for band in bands[:3]]
    longest = _LUMINANCE_BESIDE_ALPHA if has_alpha else _LUMINANCE
    across, down = (max(1, _rounded(longest * side / max(sides))) for side in sides)
    luminance = _transform(
        [(red + green + blue) / 3 for red, green, blue in zip(*colours, strict=True)],
        width,
        max(3, across),
        max(3, down),
    )
    yellow = [(red + green) / 2 - blue for red, green, blue in zip(*colours, strict=True)]
    red_green = [red - green for red, green, _ in zip(*colours, strict=True)]
    shades = [_transform(channel, width, _COLOUR, _COLOUR) for channel in (yellow, red_green)]
    alpha = [_transform(opacity, width, _ALPHA, _ALPHA)] if has_alpha else []
    head = _head(luminance, shades, alpha, shorter=down if width > height else across, is_landscape=width > height)
    return head + _packed(nibble for channel in (luminance, *shades, *alpha) for nibble in channel.nibbles())


def _over_mean(band: bytes, opacity: Sequence[float]) -> list[float]:
    """Return a colour from 0 to 1 where transparent parts show the mean of the opaque ones."""
    total = sum(opacity)
    mean = sum(map(mul, band, opacity)) / (_TOP * total) if total else 0
    return [mean * (1 - part) + part * value / _TOP for value, part in zip(band, opacity, strict=True)]


def _transform(channel: Sequence[float], width: int, across: int, down: int) -> _Channel:
    """Transform the rows, then the columns; only coefficients above the diagonal are stored."""
    height = len(channel) // width
    rows = [channel[start : start + width] for start in range(0, len(channel), width)]
    columns = [[sum(map(mul, row, wave)) for row in rows] for wave in _waves(width, across)]
    made = [
        sum(map(mul, columns[x], wave)) / (width * height)
        for y, wave in enumerate(_waves(height, down))
        for x in range(across)
        if x * down < across * (down - y)
    ]
    return _Channel(made[0], made[1:], max(map(abs, made[1:]), default=0.0))


@lru_cache(maxsize=8)
def _waves(length: int, count: int) -> list[list[float]]:
    return [[math.cos(math.pi / length * wave * (at + 0.5)) for at in range(length)] for wave in range(count)]


def _head(
    luminance: _Channel, shades: Sequence[_Channel], alpha: Sequence[_Channel], *, shorter: int, is_landscape: bool
) -> bytes:
    yellow, red_green = shades
    bits = [
        (_rounded(63 * luminance.mean), 6),
        (_rounded(31.5 + 31.5 * yellow.mean), 6),
        (_rounded(31.5 + 31.5 * red_green.mean), 6),
        (_rounded(31 * luminance.scale), 5),
        (bool(alpha), 1),
        (shorter, 3),
        (_rounded(63 * yellow.scale), 6),
        (_rounded(63 * red_green.scale), 6),
        (is_landscape, 1),
        *((number, 4) for one in alpha for number in (_rounded(15 * one.mean), _rounded(15 * one.scale))),
    ]
    number, used = 0, 0
    for value, length in bits:
        number |= value << used
        used += length
    return number.to_bytes(used // 8, "little")


def _packed(nibbles: Iterable[int]) -> bytes:
    """Return numbers of four bits as bytes, the first in the lower half."""
    numbers = [*nibbles]
    highs = [*numbers[1::2], 0]
    return bytes(low | high << 4 for low, high in zip(numbers[::2], highs, strict=False))


def _rounded(number: float) -> int:
    """Round to the nearest integer, halves up."""
    return math.floor(number + 0.5)
