"""Properties of an original, read from its header, and the limits on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import sentences
from pipeline.decode.memory_model import render_bytes
from pipeline.errors import TooManyFrames, TooManyPixels
from pipeline.image import orientation, vips
from pipeline.protocol import ImageInfo
from pipeline.size import Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.decode.original import Original
    from pipeline.protocol import Limits

_MEGA = 1_000_000
_WHOLE_MEGA = 10
_USUAL = (Size(name="usual", width=2000),)
_BITS = {"uchar": 8, "ushort": 16, "short": 16, "float": 32}


def describe(original: Original, *, limits: Limits, sizes: Sequence[Size]) -> ImageInfo:
    """Return the properties of an opened original, read from its header alone.

    Raises:
        TooManyPixels: one frame has more pixels than `limits` allows.
        TooManyFrames: the file has more frames or pages than `limits` allows.
    """
    header = original.header
    _refuse_over(limits, pixels=header.width * header.height, frames=original.frames)
    width, height = original.sides
    return ImageInfo(
        format=original.readable.name,
        width=width,
        height=height,
        bands=header.bands,
        bits=vips.number(header, "bits-per-sample", default=_BITS[header.format]),
        frames=original.frames,
        orientation=orientation.read(header),
        has_alpha=bool(header.hasalpha()),
        is_progressive=bool(vips.number(header, "interlaced", default=0)),
        render_bytes=render_bytes(original, sizes or _USUAL, animation_pixels=limits.animation_pixels),
    )


def _refuse_over(limits: Limits, *, pixels: int, frames: int) -> None:
    if pixels > limits.pixels:
        raise TooManyPixels(sentences.MEGAPIXELS.format(number=_megapixels(pixels), limit=_megapixels(limits.pixels)))
    if frames > limits.frames:
        raise TooManyFrames(sentences.FRAMES_OR_PAGES.format(number=frames, limit=limits.frames))


def _megapixels(pixels: int) -> str:
    mega = pixels / _MEGA
    return f"{mega:.0f}" if mega >= _WHOLE_MEGA else f"{mega:.2g}"
