"""What an original is, from its header, and what rendering it will cost in bytes of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import colour, metadata, vips
from pipeline.errors import TooManyFrames, TooManyPixels
from pipeline.original import open_original
from pipeline.size import Size
from pipeline.wire import ImageInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyvips

    from pipeline.formats import Readable
    from pipeline.original import Original
    from pipeline.wire import Limits

PROCESS_BYTES = 32_000_000
"""The render process before its first picture: interpreter and libvips, measured."""

_MEGA = 1_000_000
_USUAL = (Size(name="usual", width=2000),)
_BITS = {"uchar": 8, "ushort": 16, "short": 16, "uint": 32, "float": 32}


def probe(path: Path, *, limits: Limits, sizes: Sequence[Size] = ()) -> ImageInfo:
    """Read an original's header and nothing else.

    Raises:
        Unreadable: it is no picture, or none that is read here, or its header is damaged.
        TooManyPixels: decoding would give more pixels than `limits` allows.
        TooManyFrames: it holds more frames or pages than `limits` allows.
    """
    return describe(open_original(path), limits=limits, sizes=sizes)


def describe(original: Original, *, limits: Limits, sizes: Sequence[Size]) -> ImageInfo:
    """Tell what an opened original is, refusing it over its `limits`; errors as `probe`."""
    header, readable = original.header, original.readable
    frames = vips.number(header, "n-pages", default=1)
    _refuse_over(limits, pixels=header.width * header.height, frames=frames)
    orientation = metadata.orientation(header)
    sides = (header.width, header.height)
    width, height = reversed(sides) if metadata.is_turned(orientation) else sides
    return ImageInfo(
        format=readable.name,
        width=width,
        height=height,
        bands=header.bands,
        bits=vips.number(header, "bits-per-sample", default=_BITS[header.format]),
        frames=frames,
        orientation=orientation,
        has_alpha=bool(header.hasalpha()),
        has_profile=colour.profile(header) is not None,
        is_progressive=bool(vips.number(header, "interlaced", default=0)),
        render_bytes=_render_bytes(header, readable, sizes=sizes or _USUAL),
    )


def _refuse_over(limits: Limits, *, pixels: int, frames: int) -> None:
    if pixels > limits.pixels:
        raise TooManyPixels(
            f"This picture has {pixels / _MEGA:.0f} megapixels, {limits.pixels / _MEGA:.0f} may be; shrink it first."
        )
    if frames > limits.frames:
        raise TooManyFrames(f"This file holds {frames} frames or pages, {limits.frames} may be; upload one of them.")


def _render_bytes(header: pyvips.Image, readable: Readable, *, sizes: Sequence[Size]) -> int:
    """Add up what is in memory at once: the process, what the decoder holds, the shared picture, an encoder."""
    sample = _BITS[header.format] // 8
    whole: int = header.width * header.height * header.bands
    covers = [size.cover(width=header.width, height=header.height) for size in sizes]
    shared: int = max(width * height for width, height in covers) * header.bands * sample
    window: int = 64 * header.width * header.bands * sample
    return PROCESS_BYTES + _decoder_bytes(header, readable.name, whole=whole, sample=sample) + window + 4 * shared


def _decoder_bytes(header: pyvips.Image, name: str, *, whole: int, sample: int) -> int:
    """Progressive JPEG keeps 16 bits for every coefficient; interlaced PNG and WebP keep the picture."""
    if name == "webp":
        return 2 * whole
    if not vips.number(header, "interlaced", default=0):
        return 0
    if name == "jpeg":
        is_halved = header.get("jpeg-chroma-subsample") == "4:2:0"
        return whole if is_halved else 2 * whole
    return whole * sample
