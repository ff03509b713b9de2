"""Colour management: conversion of images in any colour space to sRGB."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.formats import icc
from pipeline.image import vips
from pipeline.image.transfer_curve import TOP

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyvips

_RGB = ("srgb", "rgb16")
_GREY = ("b-w", "grey16")

_LAB = ("lab", "labs")
_SPACES = {"b-w": icc.GREY, "grey16": icc.GREY, "cmyk": icc.CMYK, "lab": icc.LAB, "labs": icc.LAB}
"""The colour space that a profile of pixels of each interpretation must have; RGB for others."""


_SAME_COLOUR = 3
"""Levels of 0 to 255. A profile that shifts the test patches by no more than this counts as sRGB.

sRGB profiles of all vendors shift them by 1 at most, Display P3 by 19 (70 photographs).
"""

_MAX_PROFILE_BYTES = 16 << 10
"""Bytes. The largest profile that is embedded in derivatives.

Profiles of cameras and screens have 0.5 to 4 KB; a larger one is as long as a small derivative itself.
"""

_COLOURS = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 128, 128, 128, 200, 100, 50, 20, 30, 60))
_GREYS = bytes((0, 32, 64, 128, 192, 255))


def profile(image: pyvips.Image) -> bytes | None:
    """Return the image's ICC profile, or None if it has none."""
    return bytes(image.get(vips.PROFILE)) if image.get_typeof(vips.PROFILE) else None


def with_own_profile(image: pyvips.Image) -> pyvips.Image:
    """Return the image without an ICC profile for another colour space than its own; browsers ignore it too.

    Bytes behind the end of the profile are removed.
    """
    embedded = profile(image)
    if embedded is None:
        return image
    if not icc.describes(embedded, _SPACES.get(image.interpretation, icc.RGB)):
        return without_profile(image)
    return vips.with_profile(image, trimmed) if len(trimmed := icc.trimmed(embedded)) < len(embedded) else image


def without_profile(image: pyvips.Image) -> pyvips.Image:
    """Return the image without its ICC profile; pixel values stay unchanged."""
    bare = image.copy()
    if bare.get_typeof(vips.PROFILE):
        bare.remove(vips.PROFILE)
    return bare


def to_rgb(image: pyvips.Image) -> pyvips.Image:
    """Convert CMYK and Lab images to RGB; return RGB and grey images unchanged.

    The bit depth stays, up to 16 bits. RGB and grey images keep their gamut and profile: see `to_srgb`.
    """
    if image.interpretation in (*_RGB, *_GREY):
        return image
    is_deep = image.format != "uchar"
    if image.interpretation in _LAB:
        return _from_lab(image)
    if image.interpretation == "cmyk":
        embedded = profile(image)
        own = image if embedded is None or _converts_inks(embedded) else without_profile(image)
        image = _transformed(own, input_profile="cmyk")
    return image.colourspace("rgb16" if is_deep else "srgb")


def from_ycbcr(image: pyvips.Image, luma: Sequence[float], reference: Sequence[float]) -> pyvips.Image:
    """Convert YCbCr of 8 bits to RGB, as TIFF 6.0 defines it in section 21.

    `luma` has the coefficients of red, green and blue; `reference` has black and white of each of the three samples.
    """
    red, green, blue = luma
    scales = [
        whole / ((white - black) or 1)
        for whole, black, white in zip((255, 127, 127), reference[::2], reference[1::2], strict=True)
    ]
    plain = image.linear(scales, [-black * scale for black, scale in zip(reference[::2], scales, strict=True)])
    towards_red, towards_blue = 2 - 2 * red, 2 - 2 * blue
    matrix = [
        [1, 0, towards_red],
        [1, -blue * towards_blue / (green or 1), -red * towards_red / (green or 1)],
        [1, towards_blue, 0],
    ]
    return plain.recomb(matrix).rint().cast("uchar").copy(interpretation="srgb")


def _from_lab(image: pyvips.Image) -> pyvips.Image:
    """Convert Lab to sRGB under illuminant D50, as files store it; libvips' own conversion assumes D65."""
    return image.colourspace("lab").icc_export(output_profile="srgb", intent="relative", depth=16)


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """Convert the colours to sRGB, or to grey on sRGB's curve; bit depth and alpha stay.

    Call it after shrinking, because it transforms every pixel unless the image is already sRGB. Only 16-bit images are
    converted before: they are shrunk in linear light, which is computed with sRGB's curve.
    """
    if not is_wide(image):
        return image
    is_deep = image.format != "uchar"
    shown = _transformed(image)
    if image.interpretation in _GREY:
        return shown.colourspace("grey16" if is_deep else "b-w")
    return shown


def _transformed(image: pyvips.Image, **options: str) -> pyvips.Image:
    depth = 8 if image.format == "uchar" else 16
    return image.icc_transform("srgb", embedded=True, intent="relative", depth=depth, **options)


def matrix_to_srgb(image: pyvips.Image) -> tuple[int, ...] | None:
    """Return the matrix that converts the light of an RGB image of 8 bits to sRGB's; None if `to_srgb` has to.

    That is so for screens with sRGB's curve, such as Display P3, in which phones take photographs.
    """
    embedded = profile(image)
    if embedded is None or image.interpretation != "srgb" or not is_wide(image):
        return None
    return icc.matrix_to_srgb(embedded)


def to_8_bit(image: pyvips.Image) -> pyvips.Image:
    """Return the image with 8 bits per sample."""
    if image.format == "uchar":
        return image
    return image.colourspace("b-w" if image.interpretation in _GREY else "srgb")


def with_levels(image: pyvips.Image, levels: int) -> pyvips.Image:
    """Return an image of 8 bits whose samples are rounded to one of `levels`, from black to white."""
    steps, top = levels - 1, TOP["uchar"]
    rounded = bytes(round(round(level * steps / top) * top / steps) for level in range(top + 1))
    return image.maplut(vips.from_bytes(rounded, (len(rounded), 1), bands=1)).copy(interpretation=image.interpretation)


def is_wide(image: pyvips.Image) -> bool:
    """Return whether the image has a profile whose colours differ from sRGB."""
    embedded = profile(image)
    return embedded is not None and _differs_from_srgb(embedded, is_grey=image.interpretation in _GREY)


def keeps_profile(image: pyvips.Image, gamut: str) -> bool:
    """Return whether a derivative keeps the image's profile: its `Size.gamut` is `keep`, and the profile is wide.

    Others are converted to sRGB, as are images whose profile is too large to embed, or too damaged for some encoder.
    """
    if gamut != "keep" or not is_wide(image):
        return False
    embedded = profile(image) or b""
    return len(embedded) <= _MAX_PROFILE_BYTES and icc.is_embeddable(embedded)


def without_opaque_alpha(image: pyvips.Image) -> pyvips.Image:
    """Drop the alpha band if the image is fully opaque: GIFs are decoded with alpha whether they use it or not."""
    if not image.hasalpha():
        return image
    colours = image.bands - 1
    return image.extract_band(0, n=colours) if image.extract_band(colours).min() == TOP[image.format] else image


@lru_cache(maxsize=32)
def _converts_inks(embedded: bytes) -> bool:
    """Return whether a profile converts a patch of inks; libvips fails if it can read a profile but not apply it."""
    patch = vips.from_bytes(bytes(4), (1, 1), bands=4).copy(interpretation="cmyk")
    try:
        _transformed(vips.with_profile(patch, embedded), input_profile="cmyk").avg()
    except vips.Error:
        return False
    return True


@lru_cache(maxsize=32)
def _differs_from_srgb(embedded: bytes, *, is_grey: bool) -> bool:
    """Return whether a profile changes the colours of a few test patches; a broken profile counts as none."""
    patches = (
        vips.from_bytes(_GREYS, (len(_GREYS), 1), bands=1)
        if is_grey
        else vips.from_bytes(_COLOURS, (len(_COLOURS) // 3, 1), bands=3)
    )
    try:
        shown = vips.with_profile(patches, embedded).icc_transform("srgb", embedded=True, intent="relative")
        return bool((shown - patches).abs().max() > _SAME_COLOUR)
    except vips.Error:
        return False
