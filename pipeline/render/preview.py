"""What a page shows of a picture before it is loaded, made from its smallest derivative."""

from __future__ import annotations

from binascii import b2a_base64
from collections import Counter
from typing import TYPE_CHECKING

from pipeline.image import colour, vips
from pipeline.kernel.reduction import WantedPicture, reduce
from pipeline.protocol import LQIP_CHARACTERS, LQIP_PREFIX, Preview
from pipeline.render.thumbhash import thumbhash
from pipeline.size import Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyvips

_TINY = Size(name="tiny", width=32, height=32)
"""The dimensions from which everything is computed. A browser enlarges a placeholder with a blur."""

_ATTEMPTS = ((1, 20), (1, 5), (2, 20), (4, 10))
"""By how much a placeholder is shrunk, and its quality: the first one is for most photographs, the last for noise.

A higher quality would fail for one photograph in four, and an attempt takes 0.7 ms.
"""

_COLOURS = 3

_STEP = 43
"""Levels of a channel that count as the same colour: six shades from dark to bright."""

_SHADES = bytes(level // _STEP for level in range(256))
_WHITE = "#ffffff"

_SHADOW_WEIGHT = 64
"""The weight of a black pixel. Brightness adds to it, because all shadows look alike and are not what is shown."""


def preview(picture: pyvips.Image) -> Preview:
    """Return the dominant colour and the placeholders of an upright picture of 8 bits; its pixels stay unchanged."""
    tiny = _tiny(colour.to_srgb(picture))
    bands = _bands(tiny)
    return Preview(
        color=_dominant(bands),
        lqip=_placeholder(tiny),
        thumbhash=_base64(thumbhash((tiny.width, tiny.height), bands)),
    )


def _tiny(picture: pyvips.Image, size: Size = _TINY) -> pyvips.Image:
    """Return the picture shrunk into the size, in memory, without a profile; opaque ones in linear light.

    With alpha, linear light would take 6 MB for a picture of 300 pixels, and its difference is not visible here.
    """
    sides = size.dimensions(width=picture.width, height=picture.height)
    if picture.hasalpha():
        weighed = picture.premultiply().resize(sides[0] / picture.width, vscale=sides[1] / picture.height)
        return colour.without_profile(weighed.unpremultiply().rint().cast("uchar").copy_memory())
    wanted = [WantedPicture(sides=sides, source=None)]
    (pixels,) = reduce((picture.width, picture.height), picture.bands, wanted, vips.strips(picture))
    return vips.from_bytes(bytes(pixels), sides, bands=picture.bands)


def _bands(tiny: pyvips.Image) -> list[bytes]:
    """Return red, green, blue and alpha of each pixel."""
    pixels = bytes(vips.samples(tiny))
    bands = [pixels[number :: tiny.bands] for number in range(tiny.bands)]
    opaque = bands.pop() if tiny.hasalpha() else bytes([255]) * (tiny.width * tiny.height)
    return [*(bands if len(bands) == _COLOURS else bands * _COLOURS), opaque]


def _dominant(bands: Sequence[bytes]) -> str:
    """Return the mean of the colours that are alike and weigh most, as `#rrggbb`; white if nothing can be seen.

    A pixel weighs as much as its alpha, so a picture of thin lines has the colour of its lines.
    """
    colours, weights = [*zip(*bands[:3], strict=True)], bands[3]
    shades = [*zip(*(band.translate(_SHADES) for band in bands[:3]), strict=True)]
    counts: Counter[tuple[int, ...]] = Counter()
    for shade, weight in zip(shades, weights, strict=True):
        counts[shade] += weight
    most = max(counts, key=lambda shade: counts[shade] * (_SHADOW_WEIGHT + _STEP * max(shade)))
    total = counts[most]
    if not total:
        return _WHITE
    alike = [(*colour, weight) for colour, shade, weight in zip(colours, shades, weights, strict=True) if shade == most]
    sums = (sum(colour[band] * colour[3] for colour in alike) for band in range(_COLOURS))
    return "#" + "".join(f"{round(band / total):02x}" for band in sums)


def _placeholder(tiny: pyvips.Image) -> str:
    """Return the best tiny WebP as a data URI of at most `LQIP_CHARACTERS`."""
    for times, quality in _ATTEMPTS:
        side = _TINY.width // times
        shown = tiny if times == 1 else _tiny(tiny, Size(name="tiny", width=side, height=side))
        lqip = LQIP_PREFIX + _base64(vips.webp(shown, quality=quality))
        if len(lqip) <= LQIP_CHARACTERS:
            break
    return lqip


def _base64(content: bytes) -> str:
    """Return bytes in base64; the module of that name would cost the fork server memory."""
    return b2a_base64(content, newline=False).decode()
