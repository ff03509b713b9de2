"""The chunks of a PNG that its pixels and colours need.

Source: PNG specification, third edition, sections 5.6 and 11.
"""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pipeline.formats import png, tiff
from pipeline.formats.spliced import Spliced

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pipeline.formats.png import Chunk, Header

_HEADER, _PALETTE, _ALPHAS, _PIXELS, _END = b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"
_PROFILE, _SRGB, _EXIF = b"iCCP", b"sRGB", b"eXIf"
_EXIF_BYTES: Final = 1 << 16
_HEADER_BYTES, _HEAD_BYTES, _CRC_BYTES = 13, 8, 4
_GREY, _COLOUR, _INDEXED = 0, 2, 3
_MAX_COLOURS: Final = 256
_SIGNIFICANT: Final = {_GREY: 1, _COLOUR: 3, _INDEXED: 3, 4: 2, 6: 4}
"""Bytes of `sBIT`, by the colour type."""

_COLOURS: Final = {b"cICP": 4, _SRGB: 1, b"gAMA": 4, b"cHRM": 32}
"""The chunks of fixed length that declare what the colours mean, and their lengths, in bytes."""


def copied(path: Path, profile: bytes) -> Spliced | None:
    """Return a PNG without metadata; None if a chunk that its pixels need is not where it should be.

    Of an animation only the default image is copied, which is what other sizes show. Chunks with a wrong checksum are
    dropped, as decoders do. No EXIF may turn the picture, wherever it is.
    """
    declared = png.header(path)
    with path.open("rb") as file:
        found = list(png.chunks(file))
        if not declared or not _is_in_order(found, declared) or any(_turns(file, chunk) for chunk in found):
            return None
        kept = _kept(file, found, declared, has_profile=bool(profile))
    if kept is None:
        return None
    parts = [_whole(chunk) for chunk in kept]
    pixels = [chunk for chunk in found if chunk.kind == _PIXELS]
    compressed = range(_whole(pixels[0]).start, _whole(pixels[-1]).stop)
    embedded = _chunk(_PROFILE, b"icc\0\0" + zlib.compress(profile, 9)) if profile else b""
    return Spliced(path, (png.SIGNATURE, _whole(found[0]), embedded, *parts, compressed, _chunk(_END, b"")))


def _kept(file: BinaryIO, found: Sequence[Chunk], declared: Header, *, has_profile: bool) -> list[Chunk] | None:
    """Return the chunks that the pixels' colours need, of several the first intact one; None if they do not fit."""
    first = next(chunk.start for chunk in found if chunk.kind == _PIXELS)
    palette = next((chunk.start for chunk in found if chunk.kind == _PALETTE), first)
    lengths = _COLOURS | {b"sBIT": _SIGNIFICANT.get(declared.colour_type, 0)}
    ahead = {
        chunk.kind: chunk
        for chunk in reversed(found)
        if chunk.start < palette and chunk.length == lengths.get(chunk.kind) and _is_intact(file, chunk)
    }
    behind = {
        chunk.kind: chunk
        for chunk in reversed(found)
        if palette <= chunk.start < first and chunk.kind in (_PALETTE, _ALPHAS) and _is_intact(file, chunk)
    }
    kept = [ahead[kind] for kind in lengths if kind in ahead and not (has_profile and kind == _SRGB)]
    colours, alphas = behind.get(_PALETTE), behind.get(_ALPHAS)
    if declared.colour_type == _INDEXED:
        if colours is None or not declared.fits(colours):
            return None
        kept.append(colours)
        if alphas and alphas.length > colours.length // 3:
            return None
    if alphas and not declared.fits(alphas):
        return None
    return [*kept, alphas] if alphas else kept


def _turns(file: BinaryIO, chunk: Chunk) -> bool:
    """Return whether a chunk is EXIF that turns the picture."""
    file.seek(chunk.start)
    return chunk.kind == _EXIF and tiff.is_turned(file.read(min(chunk.length, _EXIF_BYTES)))


def has_exact_pixels(path: Path) -> bool:
    """Return whether a PNG's pixels decompress to as many bytes as its header declares, and nothing follows them."""
    declared = png.header(path)
    if not declared:
        return False
    pixels = png.CompressedPixels(declared.pixel_bytes)
    with path.open("rb") as file:
        for chunk in png.chunks(file):
            file.seek(chunk.start)
            if chunk.kind == _PIXELS and any(pixels.take(one) != one for one in png.pieces(file, chunk.length)):
                return False
    return pixels.are_complete


def _is_in_order(found: Sequence[Chunk], declared: Header) -> bool:
    """Return whether the chunks that pixels need are all there, in their order, and once where they must be."""
    kinds = [chunk.kind for chunk in found]
    if kinds[:1] != [_HEADER] or kinds[-1:] != [_END] or _PIXELS not in kinds or found[0].length != _HEADER_BYTES:
        return False
    pixels = [number for number, kind in enumerate(kinds) if kind == _PIXELS]
    palettes = [number for number, kind in enumerate(kinds) if kind == _PALETTE]
    is_first = all(number < pixels[0] for number in palettes)
    is_joined = all(after - before == 1 for before, after in pairwise(pixels))
    needed = (1,) if declared.colour_type == _INDEXED else (0, 1)
    return is_first and is_joined and kinds.count(_HEADER) == 1 and len(palettes) in needed


def _whole(chunk: Chunk) -> range:
    """Return where a chunk lies, with its length, its type and its checksum."""
    return range(chunk.start - _HEAD_BYTES, chunk.start + chunk.length + _CRC_BYTES)


def _is_intact(file: BinaryIO, chunk: Chunk) -> bool:
    """Return whether a chunk is as long as one of colours may be, and its checksum is right."""
    if chunk.length > 3 * _MAX_COLOURS:
        return False
    file.seek(chunk.start)
    content, checksum = file.read(chunk.length), file.read(_CRC_BYTES)
    return int.from_bytes(checksum, "big") == zlib.crc32(chunk.kind + content)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
