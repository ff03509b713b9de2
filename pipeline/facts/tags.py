"""The directories of an EXIF block, or of a TIFF, with the tags that are used here; every read is bounded."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Final

from pipeline.formats.tiff import layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from pipeline.formats.tiff import TiffLayout

_BLOCK: Final = re.compile(rb"II[*+]\0|MM\0[*+]")
_MOST_BEFORE: Final = 64
"""How many bytes may be before a block: `Exif`, or the head of the segment from which it was copied."""

_MOST_ENTRIES: Final = 1000
_MOST_NUMBERS: Final = 8
_MOST_TEXT_BYTES, _MOST_TEXTS_BYTES = 1 << 14, 1 << 18
"""The part of a text that is read, and of all texts of a directory."""

_EXIF_POINTER, _GPS_POINTER = 0x8769, 0x8825

_BYTES, _ASCII = 1, 2
_TEXTS: Final = frozenset({_BYTES, _ASCII, 7, 129})
"""Bytes, ASCII, bytes of no type, and the UTF-8 of EXIF 3.0; the first are numbers, too."""

_SHAPES: Final = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_FRACTIONS: Final = {5: "I", 10: "i"}
"""The types of numbers and of fractions of two numbers, with their format characters for `struct`."""


@dataclass(frozen=True, slots=True)
class TagDirectory:
    """The tags of one directory. Texts are bytes; a number is None if it is 0/0, NaN or infinity."""

    order: str = "<"
    """The byte order, as `struct` names it."""
    texts: Mapping[int, bytes] = field(default_factory=dict)
    numbers: Mapping[int, tuple[float | None, ...]] = field(default_factory=dict)

    def number(self, tag: int) -> float | None:
        """Return the first number of a tag; None if there is none."""
        return next(iter(self.numbers.get(tag, ())), None)


@dataclass(frozen=True, slots=True)
class ExifTags:
    """The first directory of an EXIF block, the one about the exposure, and the one about the position."""

    image: TagDirectory = field(default_factory=TagDirectory)
    exif: TagDirectory = field(default_factory=TagDirectory)
    gps: TagDirectory = field(default_factory=TagDirectory)


def tags_of_block(block: bytes) -> ExifTags:
    """Return the tags of an EXIF block; none if it is damaged."""
    found = _BLOCK.search(block, 0, _MOST_BEFORE)
    return tags_of_file(BytesIO(block[found.start() :])) if found else ExifTags()


def tags_of_file(file: BinaryIO) -> ExifTags:
    """Return the tags of a TIFF that is open at its start; a directory that is damaged has no tags."""
    try:
        layout = layout_of(file)
        file.seek(layout.first)
        (start,) = layout.read(file, layout.offset)
    except (struct.error, ValueError, OverflowError, OSError):
        return ExifTags()
    image = _directory(file, layout, start)
    exif, gps = (
        _directory(file, layout, int(pointer)) if (pointer := image.number(tag)) else TagDirectory()
        for tag in (_EXIF_POINTER, _GPS_POINTER)
    )
    return ExifTags(image, exif, gps)


def _directory(file: BinaryIO, layout: TiffLayout, start: int) -> TagDirectory:
    texts: dict[int, bytes] = {}
    numbers: dict[int, tuple[float | None, ...]] = {}
    left = _MOST_TEXTS_BYTES
    for tag, kind, count, inline in _entries(file, layout, start):
        if tag in texts or tag in numbers:
            continue  # the first counts
        try:
            if kind in _TEXTS:
                texts[tag] = _bytes(file, layout, inline, min(count, _MOST_TEXT_BYTES, left))
                left -= len(texts[tag])
            if kind in _SHAPES:
                numbers[tag] = _numbers(file, layout, inline, _SHAPES[kind], min(count, _MOST_NUMBERS))
            elif kind in _FRACTIONS:
                parts = _numbers(file, layout, inline, _FRACTIONS[kind], 2 * min(count, _MOST_NUMBERS))
                numbers[tag] = tuple(map(_fraction, parts[::2], parts[1::2]))
        except (struct.error, ValueError, OverflowError, OSError):  # the value lies outside of the block
            continue
    return TagDirectory(layout.order, texts, numbers)


def _entries(file: BinaryIO, layout: TiffLayout, start: int) -> Iterator[tuple[int, int, int, bytes]]:
    try:
        file.seek(start)
        (count,) = layout.read(file, layout.count)
        shape = layout.order + layout.entry
        length = struct.calcsize(shape)
        block = file.read(length * min(count, _MOST_ENTRIES))
    except (struct.error, ValueError, OverflowError, OSError):
        return
    yield from struct.iter_unpack(shape, block[: len(block) // length * length])


def _bytes(file: BinaryIO, layout: TiffLayout, inline: bytes, length: int) -> bytes:
    if length <= len(inline):
        return inline[:length]
    file.seek(struct.unpack(layout.order + layout.offset, inline)[0])
    return file.read(length)


def _numbers(file: BinaryIO, layout: TiffLayout, inline: bytes, character: str, count: int) -> tuple[float | None, ...]:
    shape = f"{layout.order}{count}{character}"
    found: tuple[float, ...] = struct.unpack(shape, _bytes(file, layout, inline, struct.calcsize(shape)))
    return tuple(number if math.isfinite(number) else None for number in found)


def _fraction(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
