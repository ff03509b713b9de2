"""The chunks of a PNG that its pixels and colours need.

Source: PNG specification, third edition, sections 5.6 and 11.
"""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pipeline.formats import png
from pipeline.formats.spliced import Spliced

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pipeline.formats.png import Chunk, Header

_HEADER, _PALETTE, _ALPHAS, _PIXELS, _END = b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"
_PROFILE, _SRGB = b"iCCP", b"sRGB"
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
    dropped, as decoders do.
    """
    declared = png.header(path)
    with path.open("rb") as file:
        found = list(png.chunks(file))
        if not declared or not _is_in_order(found, declared):
            return None
        first = next(chunk.start for chunk in found if chunk.kind == _PIXELS)
        palette = next((chunk.start for chunk in found if chunk.kind == _PALETTE), first)
        ahead = {chunk.kind: chunk for chunk in reversed(found) if chunk.start < min(palette, first)}
        lengths = _COLOURS | {b"sBIT": _SIGNIFICANT.get(declared.colour_type, 0)}
        kept = [
            chunk
            for kind, length in lengths.items()
            if (chunk := ahead.get(kind)) and chunk.length == length and not (profile and kind == _SRGB)
        ]
        behind = {chunk.kind: chunk for chunk in reversed(found) if palette <= chunk.start < first}
        if declared.colour_type == _INDEXED:
            kept.append(behind[_PALETTE])
        if alphas := behind.get(_ALPHAS):
            if not _fits(alphas, behind.get(_PALETTE), declared):
                return None
            kept.append(alphas)
        parts = [_whole(chunk) for chunk in kept if _is_intact(file, chunk)]
    pixels = [chunk for chunk in found if chunk.kind == _PIXELS]
    compressed = range(_whole(pixels[0]).start, _whole(pixels[-1]).stop)
    embedded = _chunk(_PROFILE, b"icc\0\0" + zlib.compress(profile, 9)) if profile else b""
    return Spliced(path, (png.SIGNATURE, _whole(found[0]), embedded, *parts, compressed, _chunk(_END, b"")))


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


def _fits(alphas: Chunk, palette: Chunk | None, declared: Header) -> bool:
    """Return whether a chunk of transparent colours has a length that its colour type allows."""
    if declared.colour_type == _INDEXED:
        return palette is not None and 1 <= alphas.length <= min(palette.length // 3, _MAX_COLOURS)
    return alphas.length == {_GREY: 2, _COLOUR: 6}.get(declared.colour_type)


def _whole(chunk: Chunk) -> range:
    """Return where a chunk lies, with its length, its type and its checksum."""
    return range(chunk.start - _HEAD_BYTES, chunk.start + chunk.length + _CRC_BYTES)


def _is_intact(file: BinaryIO, chunk: Chunk) -> bool:
    file.seek(chunk.start)
    content, checksum = file.read(chunk.length), file.read(_CRC_BYTES)
    return int.from_bytes(checksum, "big") == zlib.crc32(chunk.kind + content)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
