"""Tone mapping: images in the brightness of HDR screens, as ordinary screens show them.

Sources: ITU-R BT.2100 for the transfer functions, BT.2408 for the brightness of white. The curve is Reinhard's extended
one (2002), applied to the largest of red, green and blue, so hues stay.
"""

from __future__ import annotations

from functools import lru_cache

import pyvips

from pipeline.image import vips

PQ, HLG = HDR = 16, 18
"""H.273's numbers of the transfer functions for HDR."""

_WHITE_NITS, _PEAK_NITS = 203, 1000
_PEAK = _PEAK_NITS / _WHITE_NITS
"""The light that becomes the brightest level, relative to white."""

_M1, _M2 = 2610 / 16_384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_PQ_NITS = 10_000
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_SYSTEM_GAMMA = 1.2
_LUMINANCE = (0.2627, 0.6780, 0.0593)
_WORD = 65_535
_FLOAT = 4
_HELD_STRIPS = 8
_HELD_SAMPLES = 4
"""Floats held for each sample of those strips: as light, in the brightness of the scene, and some of the brightest."""

_TABLE_BYTES = 3_000_000
"""Bytes. The tables of levels, and what their computation leaves; 2.7 MB were measured beside the strips."""


def to_sdr(image: pyvips.Image, transfer: int) -> pyvips.Image:
    """Return an RGB or grey image without alpha in sRGB's transfer function; primaries and sample type stay."""
    is_deep = image.format == "ushort"
    light = _held(_held(image).maplut(_light(transfer, is_deep=is_deep)))
    if transfer == HLG:
        weights = pyvips.Image.new_from_array([[*_LUMINANCE]])
        luminance = light.recomb(weights) if image.bands == len(_LUMINANCE) else light
        light = _held(light * luminance ** (_SYSTEM_GAMMA - 1) * _PEAK)
    brightest = _held(light if image.bands == 1 else _brightest(light))
    mapped = light * ((brightest * (1 / _PEAK**2) + 1) / (brightest + 1))
    levels = (mapped * _WORD).cast("ushort").maplut(_levels(is_deep=is_deep))
    return levels.copy(interpretation=image.interpretation)


def working_bytes(width: int, bands: int) -> int:
    """Return the bytes that the mapping of an image of this width and number of bands holds."""
    return _TABLE_BYTES + _HELD_STRIPS * vips.STRIP_LINES * width * bands * _HELD_SAMPLES * _FLOAT


def _held(image: pyvips.Image) -> pyvips.Image:
    """Return an image of which a few lines are held: it is read several times, and would be computed each time."""
    return image.tilecache(tile_width=image.width, tile_height=vips.STRIP_LINES, max_tiles=_HELD_STRIPS)


def _brightest(light: pyvips.Image) -> pyvips.Image:
    first, *others = light.bandsplit()
    return first.bandrank(others, index=len(others))


@lru_cache(maxsize=2)
def _light(transfer: int, *, is_deep: bool) -> pyvips.Image:
    """Return the light of each level: for PQ relative to white, for HLG that of the scene."""
    codes = pyvips.Image.identity(ushort=is_deep) * (1 / (_WORD if is_deep else 255))
    if transfer == PQ:
        root = codes ** (1 / _M2)
        light = ((root - _C1) * ((root > _C1) / 255) / (root * -_C3 + _C2)) ** (1 / _M1) * (_PQ_NITS / _WHITE_NITS)
    else:
        dark, bright = codes**2 * (1 / 3), (((codes - _C) * (1 / _A)).exp() + _B) * (1 / 12)
        light = (codes <= 0.5).ifthenelse(dark, bright)  # noqa: PLR2004 - of BT.2100
    return light.cast("float").copy_memory()


@lru_cache(maxsize=2)
def _levels(*, is_deep: bool) -> pyvips.Image:
    """Return sRGB's level of each amount of light, which is given in 16 bits."""
    light = pyvips.Image.identity(ushort=True) * (1 / _WORD)
    curve = (light ** (1 / 2.4)) * 1.055 - 0.055
    level = (light <= 0.0031308).ifthenelse(light * 12.92, curve)  # noqa: PLR2004 - of IEC 61966-2-1
    return (level * (_WORD if is_deep else 255)).rint().cast("ushort" if is_deep else "uchar").copy_memory()
