"""Transfer curves for shrinking with libvips: linear light can be averaged, sRGB values cannot.

Averaging sRGB values darkens fine bright detail, such as hairs and wings. `TransferCurve.LINEAR` is linear light, in 16
bits. Images of 8 bits without alpha are shrunk by `pipeline.kernel`, which has tables of its own.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from enum import Enum, auto
from functools import cache
from itertools import pairwise, repeat
from typing import TYPE_CHECKING

from pipeline.image import vips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyvips

TOP = {"uchar": 255, "ushort": 65_535}
"""The highest level of each pixel format."""


class TransferCurve(Enum):
    """The quantity that pixel values are proportional to."""

    SRGB = auto()
    LINEAR = auto()


_TYPE_CODES = {"uchar": "B", "ushort": "H"}
"""The type codes of Python's `array` for the pixel formats."""

_LINEAR_END, _SLOPE = 0.003_130_8, 12.92
"""The end of the linear segment of sRGB's curve, in linear light, and the slope of that segment: IEC 61966-2-1."""


def convert(image: pyvips.Image, source: TransferCurve, wanted: TransferCurve) -> pyvips.Image:
    """Convert an image to another transfer curve with a lookup table; alpha is not light and is only rescaled."""
    if source is wanted:
        return image
    table = _table(source, wanted, image.format)
    if not image.hasalpha():
        return image.maplut(table)
    colours = image.extract_band(0, n=image.bands - 1).maplut(table)
    alpha = image.extract_band(image.bands - 1) * (TOP[table.format] / TOP[image.format])
    return colours.bandjoin(alpha.rint().cast(table.format))


def to_linear(coded: float) -> float:
    """Return the linear light, 0 to 1, of an sRGB value from 0 to 1."""
    return coded / _SLOPE if coded <= _LINEAR_END * _SLOPE else ((coded + 0.055) / 1.055) ** 2.4


def _to_srgb(linear: float) -> float:
    return linear * _SLOPE if linear <= _LINEAR_END else 1.055 * linear ** (1 / 2.4) - 0.055


_FORMULAS: dict[tuple[TransferCurve, TransferCurve], tuple[Callable[[float], float], str]] = {
    (TransferCurve.SRGB, TransferCurve.LINEAR): (to_linear, "ushort"),
    (TransferCurve.LINEAR, TransferCurve.SRGB): (_to_srgb, "uchar"),
}
"""The formula of each conversion, and the pixel format of its result."""


def load_tables() -> None:
    """Compute now the lookup tables that originals of 8 bits with alpha need, which takes a few milliseconds."""
    for source, wanted in _FORMULAS:
        _table(source, wanted, "ushort" if source is TransferCurve.LINEAR else "uchar")


@cache
def _table(source: TransferCurve, wanted: TransferCurve, pixel_format: str) -> pyvips.Image:
    """Return the lookup table of a conversion for one pixel format, computed on first use."""
    formula, becomes = _FORMULAS[source, wanted]
    top, highest = TOP[pixel_format], TOP[becomes]

    def value(level: int) -> int:
        return round(highest * formula(level / top))

    levels = range(top + 1)
    values = _runs(value, levels, highest) if highest < top else map(value, levels)
    table = array(_TYPE_CODES[becomes], values).tobytes()
    return vips.from_bytes(table, (top + 1, 1), bands=1, is_deep=becomes == "ushort")


def _runs(value: Callable[[int], int], levels: range, highest: int) -> Iterator[int]:
    """Yield the value of each level, for a function that never falls; the level at which a value begins is bisected."""
    begins = (bisect_left(levels, each, key=value) for each in range(highest + 2))
    for each, (start, end) in enumerate(pairwise(begins)):
        yield from repeat(each, end - start)
