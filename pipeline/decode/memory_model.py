"""Prediction of the memory needed to render an original, from its header alone.

All numbers were measured on the 70 photographs of the corpus with tests/benchmarks/memory.py, on libvips 8.18.7 and
x86-64, with `pipeline.protocol.ENVIRONMENT`. They are rounded up: a prediction may be too high, but never too low.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.decode.copying import is_copied
from pipeline.formats import jpeg, tiff, webp
from pipeline.formats.heif.main_image import AV1, HEVC
from pipeline.formats.registry import MAX_LOSSLESS_PIXELS, MAX_PALETTE_PIXELS, WRITABLE, highest, output
from pipeline.image import tone, vips
from pipeline.kernel import reduction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.decode.original import Original
    from pipeline.formats.heif.main_image import Plane
    from pipeline.size import Size

_PROCESS = 33_000_000
"""Bytes. The render process itself: the interpreter, libvips, and the code that every image needs."""

_LINES = 800
"""Lines of the decoded image that libvips keeps for its own shrinking."""

_READ_LINES = 400
"""Lines of the decoded image that libvips' loaders keep while `pipeline.kernel` reads it."""

_SAMPLE = {"uchar": 1, "ushort": 2, "short": 2, "float": 4}
_FLOAT = 4
"""Bytes. One sample in floating point, in which libvips shrinks."""

_GIF_BYTES = 6
"""Bytes per pixel of the frame that the GIF decoder holds."""

_CODED_BYTES = {HEVC: 5.2, AV1: 17}
"""Bytes per pixel of the decoders of one coded image of a HEIC or AVIF, at 8 bits per sample."""

_HEIF_BYTES = 900_000
"""Bytes. What the decoders of HEIC and AVIF take besides, for an image of any dimensions."""

_DATA_COPIES = 2
"""Copies held of compressed data: as read, and in the decoder."""

_ROW_COPIES = 2
"""Copies held of a row of tiles: the tiles, and the row as it is read."""

_WEBP_BYTES = {True: 7, False: 5}
"""Bytes per pixel of a WebP that is decoded, perhaps shrunk; lossy or not."""

_WEBP_ALPHA_BYTES = 3
_WEBP_WHOLE_BYTES = {True: 0, False: 4}
"""Bytes per pixel of a WebP as stored; lossy or not."""

_WEBP_UNSHRUNK_BYTES = 0.6
"""Bytes per pixel besides, if a WebP is decoded at its own dimensions; 0.4 were measured."""

_WEBP_WHOLE_ALPHA_BYTES = 1
"""Bytes per pixel of the alpha of a lossy WebP as stored."""


_DEEP_FACTOR = 1.5
"""Factor for those decoders if a sample has more than 8 bits."""

_HUFFMAN_BYTES = 5
"""Bytes per pixel that a JPEG encoder needs to optimise Huffman codes, because it holds the whole image."""

_PALETTE_BYTES = 24
"""Bytes per pixel for reducing a derivative to a palette; 21 were measured."""

_LOSSLESS_BYTES = 30
"""Bytes per pixel for encoding a WebP without loss, beside those for encoding it with loss; 26 were measured."""

_TILES = 2.4
"""Rows of tiles held: the one being read and the one being decoded."""

_STRIPS = 1.5
"""Copies held of a strip whose colours are stored separately: one as read, and a part as pixels."""

_METADATA_COPIES = 4
"""Copies held of an original's metadata: in the decoder, in the header, and in copies of the header."""

_LINEAR_BYTES = 2
"""Bytes. One sample in linear light, which has 16 bits."""

_ANIMATION_COPIES = 3
"""Copies held of an animation: decoded, joined, and at its final size."""

_CANVAS_BYTES = 8
"""Bytes per pixel of one frame that the decoder of an animation holds besides the frames."""

_COEFFICIENT = 2
"""Bytes. One coefficient; progressive JPEG keeps all coefficients of all channels until the last scan."""


_COPY_OR_RENDER = 44_000_000
"""Bytes. A copy that turns out to be impossible is rendered instead if that takes no more than this.

The service reserves as much for any original.
"""


def render_bytes(original: Original, sizes: Sequence[Size], *, animation_pixels: int) -> int:
    """Return the predicted peak resident memory, in bytes, of the render process while it renders `sizes`.

    An animation whose frames exceed `animation_pixels` in total is rendered as its first frame. Each size with
    `strip_only` is made by itself, once the images of the others are freed.
    """
    scaled = [size for size in sizes if not size.strip_only]
    shared = [rendering_bytes(original, scaled, animation_pixels=animation_pixels)] if scaled else []
    whole = (_whole_bytes(original, size, animation_pixels) for size in sizes if size.strip_only)
    return max([*shared, *whole])


def rendering_bytes(original: Original, sizes: Sequence[Size], *, animation_pixels: int) -> int:
    """Return the predicted peak resident memory, in bytes, of rendering sizes together, none of which is copied."""
    shared, shrinking = _reduction(original, sizes) if original.is_plain else _resizing(original, sizes)
    return _PROCESS + int(
        _metadata_bytes(original)
        + shared
        + max(shrinking, *(_encoder_bytes(original, size) for size in sizes))
        + _animation_bytes(original, sizes, most_pixels=animation_pixels)
    )


def held_bytes(original: Original, sizes: Sequence[Size], first: str) -> int:
    """Return the additional bytes for holding the images that are larger than the size `first` until it is encoded.

    The largest image is held for any render, and `render_bytes` includes it. So it does all images that are made in one
    pass.
    """
    if original.is_plain:
        return 0
    held = 0
    for (width, height), size in _chain(original, sizes)[1:]:
        if size.name == first:
            return held
        held += width * height * original.header.bands * _LINEAR_BYTES
    return 0


def compresses_harder(original: Original, size: Size) -> bool:
    """Return whether a full size may take the memory to be encoded into fewer bytes with the same quality.

    That is so for turned JPEGs and lossless WebPs of few pixels. All others that are rendered could have been copied,
    for all that the prediction knows, and the memory for a copy is less.
    """
    if not size.strip_only or original.is_upright or original.frames > 1:
        return False
    pixels = original.sides[0] * original.sides[1]
    if original.readable.name == "webp":
        return pixels <= MAX_LOSSLESS_PIXELS and not webp.is_lossy(original.path)
    return original.readable.name == "jpeg" and pixels <= MAX_PALETTE_PIXELS


def _whole_bytes(original: Original, size: Size, animation_pixels: int) -> int:
    """Return the predicted peak resident memory, in bytes, of a copy without metadata, or of a rendering as large."""
    rendered = rendering_bytes(original, [size], animation_pixels=animation_pixels)
    if not is_copied(original, animation_pixels=animation_pixels):
        return rendered
    header = original.header
    lines = min(_READ_LINES, header.height) * header.width * header.bands * _sample(original)
    decoder = _frames_bytes(original) if original.frames > 1 else _decoder(original, original.sides)
    return max(_PROCESS + int(_metadata_bytes(original) + decoder + lines), min(rendered, _COPY_OR_RENDER))


def _frames_bytes(original: Original) -> float:
    """Return the bytes that the decoder of an animation holds while all frames are read: it keeps them all."""
    pixels = original.header.width * original.header.height
    return original.path.stat().st_size + float(pixels * (original.frames * original.header.bands + _CANVAS_BYTES))


def _reduction(original: Original, sizes: Sequence[Size]) -> tuple[float, float]:
    """Return the bytes of all images, which are made in one pass, and the bytes held during the pass."""
    steps = _chain(original, sizes)
    pictures = reduction.chain((original.as_stored(cover), size.is_source) for cover, size in steps)
    times = original.shrink(pictures[0].sides)
    width, height = (-(-side // times) for side in (original.header.width, original.header.height))
    pixels = sum(picture.sides[0] * picture.sides[1] for picture in pictures)
    lines = 0 if original.declared.picture else min(_READ_LINES, height) * width * original.header.bands
    working = reduction.working_bytes((width, height), original.header.bands, pictures)
    return pixels * original.header.bands, _decoder(original, steps[0][0]) + lines + working


def _resizing(original: Original, sizes: Sequence[Size]) -> tuple[float, float]:
    """Return the bytes of the largest image, which is held, and those for the costliest step of libvips."""
    steps = _chain(original, sizes)
    shared = max(width * height for (width, height), _ in steps) * original.header.bands * _LINEAR_BYTES
    decoding = _decoder(original, steps[0][0]) + _first_step_lines(original, steps[0][0])
    return shared, max(decoding, _costliest_step(original, steps))


def _chain(original: Original, sizes: Sequence[Size]) -> list[tuple[tuple[int, int], Size]]:
    """Return the sizes with the dimensions that the original is shrunk to for each, the largest first."""
    across, down = original.sides
    return sorted(
        ((size.cover(width=across, height=down, highest=_highest(original, size)), size) for size in sizes),
        key=_sort_key,
        reverse=True,
    )


def _sort_key(step: tuple[tuple[int, int], Size]) -> tuple[tuple[int, int], bool]:
    return step[0], step[1].is_source


def _highest(original: Original, size: Size) -> int:
    return highest(original.readable, size, has_alpha=bool(original.header.hasalpha()))


def _sample(original: Original) -> int:
    return _SAMPLE[original.header.format]


def _decoder(original: Original, cover: tuple[int, int]) -> float:
    """Return the bytes that the decoder of the first frame holds, if the largest image covers `cover`."""
    header = original.header
    pixels = float(header.width * header.height)
    name = original.readable.name
    if picture := original.declared.picture:
        planes = [picture.colour, picture.alpha]
        return sum(_plane_bytes(plane, _sample(original)) for plane in planes if plane)
    if name == "webp":
        return _webp_bytes(original, pixels, original.shrink(original.as_stored(cover)))
    if name == "gif":
        return pixels * _GIF_BYTES
    if vips.number(header, "interlaced", default=0):
        samples = jpeg.samples_per_pixel(original.path) if name == "jpeg" else None
        return pixels * (
            _COEFFICIENT * samples
            if samples
            else header.bands * (_COEFFICIENT if name == "jpeg" else _sample(original))
        )
    tiles = _TILES * vips.number(header, "tile-height", default=0)
    return _strip(original) + float(tiles * header.width * header.bands * _sample(original))


def _plane_bytes(plane: Plane, sample: int) -> float:
    """Return the bytes held of the colours or the alpha of a HEIC or AVIF: one coded image, and a row of tiles."""
    width, height = plane.tile_sides
    factor = _DEEP_FACTOR if sample > 1 else 1
    coded = width * height * _CODED_BYTES[plane.tiles[0].codec] * factor
    data = _HEIF_BYTES + _DATA_COPIES * max(tile.length for tile in plane.tiles)
    bands = 1 if plane.is_grey else 3
    if plane.tiles[0].transfer in tone.HDR:
        data += tone.working_bytes(width, bands)
    if len(plane.tiles) == 1:
        return coded + data
    return coded + data + _ROW_COPIES * float(plane.columns * width * height * bands * sample)


def _webp_bytes(original: Original, pixels: float, shrink: int) -> float:
    """Return the bytes held by the WebP decoder, which reads lossy images in lines, and others as a whole."""
    is_lossy, has_alpha = webp.is_lossy(original.path), bool(original.header.hasalpha())
    shrunk = _WEBP_BYTES[is_lossy] + _WEBP_ALPHA_BYTES * has_alpha
    whole = _WEBP_WHOLE_BYTES[is_lossy] or _WEBP_WHOLE_ALPHA_BYTES * has_alpha
    spare = _WEBP_UNSHRUNK_BYTES if shrink == 1 else 0
    return original.path.stat().st_size + pixels * (whole + spare + shrunk / shrink**2)


def _strip(original: Original) -> float:
    """Return the bytes held of a TIFF's strips, in addition to the rows that are passed on."""
    if original.readable.name != "tiff":
        return 0
    header, directory = original.header, tiff.directory(original.path)
    rows = min(directory.strip_rows or header.height, header.height)
    read = original.path.stat().st_size * rows / header.height if directory.is_compressed else 0
    apart = _STRIPS * rows * header.width * header.bands * _sample(original) if directory.is_planar else 0
    return read + apart


def _metadata_bytes(original: Original) -> int:
    """Return the bytes held of an original's metadata."""
    if view := original.declared.view:
        return _METADATA_COPIES * (view.added_bytes + sum(vips.text_lengths(original.header)))
    if original.readable.name == "jpeg":
        return _METADATA_COPIES * jpeg.head_bytes(original.path)
    return _METADATA_COPIES * sum(vips.text_lengths(original.header))


def _first_step_lines(original: Original, cover: tuple[int, int]) -> float:
    """Return the bytes of the lines kept while the first frame is shrunk by libvips."""
    header = original.header
    return _lines(original, (header.width, header.height)) * _FLOAT / original.shrink(original.as_stored(cover))


def _costliest_step(original: Original, chain: Sequence[tuple[tuple[int, int], Size]]) -> float:
    """Return the bytes for the costliest step after the first: the lines of its source, and its own image."""
    most, step = 0.0, chain[0][0]
    for cover, size in chain[1:]:
        sample = _FLOAT if original.header.hasalpha() else _LINEAR_BYTES
        own = cover[0] * cover[1] * original.header.bands * min(sample, _LINEAR_BYTES)
        if cover != step:  # otherwise the image is reused as it is
            most = max(most, _lines(original, original.as_stored(step)) * sample + own)
        step = cover if size.is_source else step
    return most


def _lines(original: Original, sides: tuple[int, int]) -> float:
    """Return the number of samples in the lines kept of an image with these dimensions, as stored."""
    return float(min(_LINES, sides[1]) * sides[0] * original.header.bands)


def _encoder_bytes(original: Original, size: Size) -> float:
    """Return the bytes that the encoder of one derivative holds."""
    has_alpha = bool(original.header.hasalpha())
    across, down = original.sides
    width, height = size.dimensions(width=across, height=down, highest=_highest(original, size))
    writable = WRITABLE["webp"] if size.animate else output(original.readable, size, has_alpha=has_alpha)
    pixels = width * height
    searched = _HUFFMAN_BYTES if writable.options(size, width).get("optimize_coding") else 0
    if writable.name == "png" and original.has_few_colours and pixels <= MAX_PALETTE_PIXELS:
        searched = _PALETTE_BYTES
    if compresses_harder(original, size):
        searched = max(searched, _LOSSLESS_BYTES if writable.name == "webp" else _HUFFMAN_BYTES)
    return pixels * (searched + writable.pixel_bytes[has_alpha])


def _animation_bytes(original: Original, sizes: Sequence[Size], *, most_pixels: int) -> float:
    """Return the bytes of all decoded frames of an animation; 0 if no size is animated."""
    if not any(size.animate for size in sizes) or not original.readable.animates or original.frames == 1:
        return 0
    pixels = original.header.width * original.header.height * original.frames
    return float(_ANIMATION_COPIES * pixels * original.header.bands) if pixels <= most_pixels else 0
