"""What of an original's metadata reaches a derivative: its orientation and its colours, as pixels; nothing else."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline import vips

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyvips

_PROFILE = "icc-profile-data"
UPRIGHT = 1
"""The orientation of a picture that needs no turning."""

_FIRST_TURNED = 5
"""EXIF orientations 5 to 8 exchange rows and columns."""

_SAME_COLOUR = 3
"""Levels of 255. sRGB profiles of all makers shift the patches by 1 at most, Display P3 by 19 (70 photographs)."""

TOP = {"uchar": 255, "ushort": 65_535}
"""The highest level of each pixel format."""

_LEVELS = 256
_KNEE, _SLOPE = 0.003_130_8, 12.92
"""Where sRGB's curve leaves its straight part, in light, and how steep that is: IEC 61966-2-1."""

_COLOURS = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 128, 128, 128, 200, 100, 50, 20, 30, 60))
_GREYS = bytes((0, 32, 64, 128, 192, 255))
_RGB = ("srgb", "rgb16")
_GREY = ("b-w", "grey16")


def orientation(image: pyvips.Image) -> int:
    """Read how the camera was held: 1 to 8 as EXIF counts, 1 where the tag is absent or makes no sense."""
    return vips.number(image, "orientation", default=UPRIGHT)


def is_turned(orientation: int) -> bool:
    """Tell whether the picture lies on its side, so that its stored height is what a person calls its width."""
    return orientation >= _FIRST_TURNED


def upright(image: pyvips.Image) -> pyvips.Image:
    """Turn and mirror the picture as its orientation says."""
    return image.autorot()


def has_profile(image: pyvips.Image) -> bool:
    """Tell whether the file says what its colours mean."""
    return bool(image.get_typeof(_PROFILE))


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """Give the same colours as sRGB, or as grey with sRGB's curve; bit depth and alpha stay.

    Meant for a picture that is already small: every pixel passes through a transform, unless none is needed.
    """
    is_deep = image.format != "uchar"
    is_grey = image.interpretation in _GREY
    if _needs_transform(image):
        fallback = "cmyk" if image.interpretation == "cmyk" else "srgb"
        image = image.icc_transform("srgb", embedded=True, input_profile=fallback, intent="relative")
    if is_grey:
        return image.colourspace("grey16" if is_deep else "b-w")
    return image.colourspace("rgb16" if is_deep else "srgb")


def to_8_bit(image: pyvips.Image) -> pyvips.Image:
    """Give the same picture with 256 levels."""
    if image.format == "uchar":
        return image
    return image.colourspace("b-w" if image.interpretation in _GREY else "srgb")


def to_linear(image: pyvips.Image) -> pyvips.Image:
    """Give the same picture as 16 bits that are proportional to light: only those may be averaged."""
    return _by_table(image, _LINEAR[image.format], alpha=lambda alpha: alpha * (65_535 / TOP[image.format]))


def to_gamma(image: pyvips.Image) -> pyvips.Image:
    """Give a picture of linear light as 8 bits on sRGB's curve."""
    return _by_table(image, _GAMMA, alpha=lambda alpha: alpha / 257)


def _by_table(
    image: pyvips.Image, table: pyvips.Image, *, alpha: Callable[[pyvips.Image], pyvips.Image]
) -> pyvips.Image:
    if not image.hasalpha():
        return image.maplut(table)
    colours = image.extract_band(0, n=image.bands - 1).maplut(table)
    return colours.bandjoin(alpha(image.extract_band(image.bands - 1)).rint().cast(table.format))


def _curve_to_linear(levels: int) -> pyvips.Image:
    coded = vips.Image.identity(ushort=levels > _LEVELS, size=levels) / (levels - 1)
    light = (coded <= _KNEE * _SLOPE).ifthenelse(coded / _SLOPE, ((coded + 0.055) / 1.055) ** 2.4)
    return (light * 65_535).rint().cast("ushort").copy_memory()


def _curve_to_gamma() -> pyvips.Image:
    light = vips.Image.identity(ushort=True, size=65_536) / 65_535
    coded = (light <= _KNEE).ifthenelse(light * _SLOPE, light ** (1 / 2.4) * 1.055 - 0.055)
    return (coded * 255).rint().cast("uchar").copy_memory()


_LINEAR = {"uchar": _curve_to_linear(_LEVELS), "ushort": _curve_to_linear(65_536)}
_GAMMA = _curve_to_gamma()


def _needs_transform(image: pyvips.Image) -> bool:
    if image.interpretation == "cmyk":
        return True
    if not has_profile(image) or image.interpretation not in (*_RGB, *_GREY):
        return False
    return _differs_from_srgb(image.get(_PROFILE), is_grey=image.interpretation in _GREY)


@lru_cache(maxsize=32)
def _differs_from_srgb(profile: bytes, *, is_grey: bool) -> bool:
    """Try the profile on a few patches; one that does not work at all is as good as none."""
    patches = vips.swatches(_GREYS, bands=1) if is_grey else vips.swatches(_COLOURS, bands=3)
    try:
        shown = vips.with_profile(patches, profile).icc_transform("srgb", embedded=True, intent="relative")
        return bool((shown - patches).abs().max() > _SAME_COLOUR)
    except vips.Error:
        return False
