"""The chunks of a PNG: what it declares before it is decoded, and a copy of its pixels without anything else."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import sentences
from pipeline.errors import NeedsTooMuchMemory
from pipeline.formats import icc
from pipeline.formats.spliced import MAX_PROFILE_BYTES, MAX_UNUSED_BYTES, Spliced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER, _PALETTE, _ALPHAS, _PIXELS, _END = b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"
_EXIF, _PROFILE = b"eXIf", b"iCCP"
_TEXT = b"tEXt"
_TEXTS = frozenset({_TEXT, b"zTXt", b"iTXt"})
_USED = frozenset({_HEADER, _PALETTE, _ALPHAS, _PIXELS, _END, _PROFILE})
_EXIF_BYTES = 1 << 16
"""The part of an EXIF block that is read: as much as fits into a JPEG."""

_HEAD_BYTES, _CRC_BYTES = 8, 4
_GREY, _COLOUR, _INDEXED = 0, 2, 3
"""PNG's colour types of images of few colours."""

_CHANNELS = {_GREY: 1, _COLOUR: 3, _INDEXED: 1, 4: 2, 6: 4}
"""The number of samples of a pixel, by the colour type."""

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The first column, the first row, and the distances of columns and rows of each pass of an interlaced image."""

_WHOLE_BITS = 8
_PIECE_BYTES = 1 << 16

MAX_CHUNKS = 20_000
"""Chunks of a file that are read; what is behind them is left to the decoder. Pixels have chunks of 8 KiB or more."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: its type, and the position and length of its content in the file."""

    kind: bytes
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a PNG's header that are used here."""

    width: int
    height: int
    bits: int
    colour_type: int
    is_interlaced: bool

    @property
    def pixel_bytes(self) -> int:
        """The number of bytes that the pixels decompress to: PNG specification, sections 7.2 and 8."""
        passes = _ADAM7 if self.is_interlaced else ((0, 0, 1, 1),)
        bits = self.bits * _CHANNELS.get(self.colour_type, 0)
        sides = [(-(-(self.width - x) // across), -(-(self.height - y) // down)) for x, y, across, down in passes]
        return sum(height * (1 + (width * bits + 7) // 8) for width, height in sides if min(width, height) > 0)

    @property
    def has_few_colours(self) -> bool:
        """Whether the image has a palette, or fewer than 256 levels of grey."""
        return self.colour_type == _INDEXED or (self.colour_type == _GREY and self.bits < _WHOLE_BITS)

    def fits(self, chunk: Chunk) -> bool:
        """Return whether a palette, or a chunk of transparent colours, has no more entries than pixels can have."""
        if chunk.kind == _PALETTE:
            return chunk.length % 3 == 0 and 0 < chunk.length <= 3 << self.bits
        if self.colour_type == _INDEXED:
            return 0 < chunk.length <= 1 << self.bits
        return chunk.length == {_GREY: 2, _COLOUR: 6}.get(self.colour_type)


def header(path: Path) -> Header | None:
    """Return a PNG's header; None if the file does not begin with one."""
    with path.open("rb") as file:
        head = file.read(33)
    if len(head) < len(SIGNATURE) + 25 or not head.startswith(SIGNATURE) or head[12:16] != _HEADER:
        return None
    width, height, bits, colour_type, _, _, interlace = struct.unpack(">IIBBBBB", head[16:29])
    return Header(width, height, bits, colour_type, bool(interlace))


@dataclass(frozen=True, slots=True)
class PngSurvey:
    """A PNG as its decoder is to read it, None if the file is to be read as it is, and the EXIF block that it lacks."""

    view: Spliced | None = None
    exif: bytes = b""


def survey(path: Path) -> PngSurvey:
    """Return what a decoder is to read of a PNG.

    An EXIF block behind the pixels is found, where decoders have finished. Texts are left out if they are compressed,
    because some kilobytes can become megabytes, or if they are long; so are other large chunks without pixels or
    colours.

    Raises:
        NeedsTooMuchMemory: the ICC profile is far larger than any real one.
    """
    with path.open("rb") as file:
        found = list(chunks(file))
        exif = next((chunk for chunk in found if chunk.kind == _EXIF), None)
        pixels = next((chunk.start for chunk in found if chunk.kind == _PIXELS), 0)
        is_hidden = exif is not None and (exif.start > pixels or exif.length > MAX_UNUSED_BYTES)
        block = b""
        if exif and is_hidden:
            file.seek(exif.start)
            block = file.read(min(exif.length, _EXIF_BYTES))
        if any(chunk.kind == _PROFILE and _is_large_profile(file, chunk) for chunk in found):
            raise NeedsTooMuchMemory(sentences.LARGE_PROFILE)
        return PngSurvey(_view(path, found, os.fstat(file.fileno()).st_size), block)


def _is_large_profile(file: BinaryIO, chunk: Chunk) -> bool:
    """Return whether a profile has more than `MAX_PROFILE_BYTES`; it is decompressed in pieces that are discarded.

    What does not begin as a profile is not large: libpng ignores it before it decompresses the rest.
    """
    file.seek(chunk.start)
    _, _, compressed = file.read(min(chunk.length, MAX_PROFILE_BYTES)).partition(b"\0")
    inflate, length, rest = zlib.decompressobj(), 0, compressed[1:]
    try:
        while rest and length <= MAX_PROFILE_BYTES:
            piece = inflate.decompress(rest, _PIECE_BYTES)
            if length == 0 and not icc.is_profile(piece):
                return False
            length += len(piece)
            rest = inflate.unconsumed_tail
    except zlib.error:  # the decoder ignores a damaged one
        return False
    return chunk.length > MAX_PROFILE_BYTES or length > MAX_PROFILE_BYTES


def has_text(path: Path) -> bool:
    """Return whether a PNG has a text chunk."""
    with path.open("rb") as file:
        return any(chunk.kind in _TEXTS for chunk in chunks(file))


def texts(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the content of each text chunk of at most `MAX_UNUSED_BYTES`, as it is stored."""
    with path.open("rb") as file:
        for chunk in chunks(file):
            if chunk.kind in _TEXTS and chunk.length <= MAX_UNUSED_BYTES:
                file.seek(chunk.start)
                yield chunk.kind, file.read(chunk.length)


def _view(path: Path, found: Sequence[Chunk], size: int) -> Spliced | None:
    texts = [chunk for chunk in found if chunk.kind in _TEXTS]
    has_many = any(chunk.kind != _TEXT for chunk in texts) or sum(text.length for text in texts) > MAX_UNUSED_BYTES
    unused = {
        chunk.start
        for chunk in found
        if (has_many and chunk.kind in _TEXTS) or (chunk.kind not in _USED and chunk.length > MAX_UNUSED_BYTES)
    }
    if not unused:
        return None
    parts, start = [], 0
    for chunk in found:
        if chunk.start in unused:
            parts.append(range(start, chunk.start - _HEAD_BYTES))
            start = min(size, chunk.start + chunk.length + _CRC_BYTES)
    return Spliced(path, (*parts, range(start, size)))


def copy_pixels(source: Path, target: Path, extra: Mapping[bytes, bytes]) -> bool:
    """Write a PNG with the pixels and the palette of `source`, the chunks `extra`, and nothing else.

    The compressed pixels are copied as they are.

    Returns:
        Whether it was written: it is not if the pixels are interlaced, or are more or less than the header declares,
        or if a palette has more entries than pixels can have.
    """
    declared = header(source)
    if not declared or declared.is_interlaced or not _has_sound_colours(source, declared):
        return False
    with source.open("rb") as file, target.open("wb") as made:
        made.write(SIGNATURE)
        pixels = CompressedPixels(declared.pixel_bytes)
        for chunk in chunks(file):
            file.seek(chunk.start)
            if chunk.kind == _HEADER:
                _write(made, _HEADER, file.read(chunk.length))
                for kind, content in extra.items():
                    _write(made, kind, content)
            elif chunk.kind in (_PALETTE, _ALPHAS):
                _write(made, chunk.kind, file.read(chunk.length))
            elif chunk.kind == _PIXELS:
                for compressed in pieces(file, chunk.length):
                    _write(made, _PIXELS, pixels.take(compressed))
        _write(made, _END, b"")
    return pixels.are_complete


def _has_sound_colours(path: Path, declared: Header) -> bool:
    """Return whether a PNG has at most one palette and one chunk of transparent colours, of lengths that fit."""
    with path.open("rb") as file:
        colours = [chunk for chunk in chunks(file) if chunk.kind in (_PALETTE, _ALPHAS)]
    return len({chunk.kind for chunk in colours}) == len(colours) and all(declared.fits(chunk) for chunk in colours)


class CompressedPixels:
    """The compressed pixels of a PNG while they are read: counts what they decompress to, and finds their end."""

    def __init__(self, expected: int) -> None:
        self._inflate = zlib.decompressobj()
        self._left = expected
        self._is_sound = True

    @property
    def are_complete(self) -> bool:
        """Whether they have ended, and were as many as expected."""
        return self._is_sound and self._inflate.eof and self._left == 0

    def take(self, compressed: bytes) -> bytes:
        """Return the part of `compressed` that belongs to the pixels."""
        if self._inflate.eof or not self._is_sound:
            return b""
        rest = compressed
        try:
            while rest and self._left >= 0 and not self._inflate.eof:
                self._left -= len(self._inflate.decompress(rest, _PIECE_BYTES))
                rest = self._inflate.unconsumed_tail
        except zlib.error:
            self._is_sound = False
        return compressed[: len(compressed) - len(self._inflate.unused_data)]


def _write(file: BinaryIO, kind: bytes, content: bytes) -> None:
    if content or kind == _END:
        file.write(struct.pack(">I", len(content)) + kind + content)
        file.write(zlib.crc32(kind + content).to_bytes(4, "big"))


def pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield the next bytes of a file in pieces, up to this length."""
    while length > 0 and (piece := file.read(min(length, _PIECE_BYTES))):
        yield piece
        length -= len(piece)


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Yield the chunks of a file up to its end; the caller may seek in between."""
    position, ends = len(SIGNATURE), os.fstat(file.fileno()).st_size
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        head = file.read(_HEAD_BYTES)
        length = int.from_bytes(head[:4], "big")
        start = position + _HEAD_BYTES
        if len(head) < _HEAD_BYTES or start + length > ends:
            return
        yield Chunk(head[4:], start, length)
        if head[4:] == _END:
            return
        position = start + length + _CRC_BYTES
