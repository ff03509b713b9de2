"""Conversion of colours as video codecs store them, brightness and two differences of colour, to RGB.

Sources: ITU-T H.273 for the numbers of matrices, BT.601, BT.709 and BT.2020 for their coefficients.
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyvips

from pipeline import sentences
from pipeline.errors import UnsupportedFormat
from pipeline.image import vips

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Sequence

_IDENTITY = 0
_WEIGHTS = {
    1: (0.2126, 0.0722), 2: (0.299, 0.114), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}  # fmt: skip
"""The weights of red and blue in the brightness, by H.273's number; 2 is "unspecified", for which decoders use 6."""

_BLACK, _BRIGHTNESS, _COLOURS = 16, 219, 224
"""Levels of 8 bits. In a limited range: black, and the extents of brightness and of differences of colour."""

_FRACTION_BITS = 4
"""Bits for parts of a level while the three parts of a colour are added."""

_BYTE_BITS, _WORD_BITS = 8, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The samples of one channel, where the decoder holds them; a line starts every `stride` bytes."""

    pixels: ctypes.Array[ctypes.c_uint8]
    stride: int
    sides: tuple[int, int]
    bits: int


def to_rgb(planes: Sequence[Channel], *, shared: tuple[int, int], matrix: int, is_full_range: bool) -> pyvips.Image:
    """Return an image in RGB, or in grey if there is one plane, of 8 bits, or 16 if the brightness has more than 8.

    `shared` is the number of pixels across and down that share a sample of colour; `matrix` is H.273's number.

    Raises:
        UnsupportedFormat: the matrix is unusual.
    """
    width, height = planes[0].sides
    is_deep = planes[0].bits > _BYTE_BITS
    parts = [_image(planes[0]), *(_enlarged(_image(plane), shared).crop(0, 0, width, height) for plane in planes[1:])]
    tables = _tables(
        tuple(plane.bits for plane in planes), matrix, is_full_range=is_full_range, bits=_WORD_BITS if is_deep else 8
    )
    added = pyvips.Image.sum([part.maplut(table) for part, table in zip(parts, tables, strict=True)])
    levels = (added >> _FRACTION_BITS).cast("ushort" if is_deep else "uchar")
    return levels.copy(interpretation=vips.interpretation(levels.bands, is_deep=is_deep))


def stretched(image: pyvips.Image) -> pyvips.Image:
    """Return grey levels of a limited range over the whole range; alpha must not be among the bands."""
    unit = 1 if image.format == "uchar" else 1 << (_WORD_BITS - _BYTE_BITS)
    top = (1 << (_BYTE_BITS if image.format == "uchar" else _WORD_BITS)) - 1
    scale = top / (_BRIGHTNESS * unit)
    return (image.linear(scale, 0.5 - _BLACK * unit * scale)).cast(image.format)


def _image(plane: Channel) -> pyvips.Image:
    sample, kind = (1, "uchar") if plane.bits <= _BYTE_BITS else (2, "ushort")
    width, height = plane.sides
    lines = pyvips.Image.new_from_memory(plane.pixels, plane.stride // sample, height, 1, kind)
    return lines.crop(0, 0, width, height)


def _enlarged(image: pyvips.Image, shared: tuple[int, int]) -> pyvips.Image:
    """Return samples of colour for each pixel, as a mean of the nearest ones weighed by distance."""
    if shared == (1, 1):
        return image
    across, down = ([1, 2, 1] if count > 1 else [1] for count in shared)
    mask = [[one * other for one in across] for other in down]
    kernel = pyvips.Image.new_from_array(mask, scale=sum(across) * sum(down))
    return image.zoom(*shared).conv(kernel, precision="integer")


@lru_cache(maxsize=8)
def _tables(depths: tuple[int, ...], matrix: int, *, is_full_range: bool, bits: int) -> tuple[pyvips.Image, ...]:
    """Return for each plane what its levels add to red, green and blue, in parts of a level of `bits` bits."""
    if len(depths) == 1:
        shares: tuple[tuple[float, ...], ...] = ((1.0,),)
    elif matrix == _IDENTITY:
        shares = ((0, 1, 0), (0, 0, 1), (1, 0, 0))
    elif matrix in _WEIGHTS:
        red, blue = _WEIGHTS[matrix]
        green = 1 - red - blue
        shares = (
            (1, 1, 1),
            (0, -2 * blue * (1 - blue) / green, 2 * (1 - blue)),
            (2 * (1 - red), -2 * red * (1 - red) / green, 0),
        )
    else:
        raise UnsupportedFormat(sentences.UNSUPPORTED_MATRIX.format(number=matrix))
    top = ((1 << bits) - 1) << _FRACTION_BITS
    tables = []
    for plane, (depth, share) in enumerate(zip(depths, shares, strict=True)):
        is_colour = plane > 0 and matrix != _IDENTITY
        levels = _levels(depth, is_colour=is_colour, is_full_range=is_full_range)
        half = 0 if plane else 1 << (_FRACTION_BITS - 1)  # rounds the sum
        numbers = array.array("i", [round(level * part * top) + half for level in levels for part in share])
        tables.append(pyvips.Image.new_from_memory(numbers.tobytes(), len(levels), 1, len(share), "int"))
    return tuple(tables)


def _levels(depth: int, *, is_colour: bool, is_full_range: bool) -> list[float]:
    """Return the value of each level: 0 to 1, or -0.5 to 0.5 for differences of colour."""
    unit = 1 << (depth - _BYTE_BITS)
    zero, extent = (0, (1 << depth) - 1) if is_full_range else (_BLACK * unit, _BRIGHTNESS * unit)
    if is_colour:
        zero, extent = 128 * unit, extent if is_full_range else _COLOURS * unit
    return [(level - zero) / extent for level in range(1 << depth)]
