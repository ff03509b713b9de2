"""The chain of a TIFF's directories, counted before a decoder follows it, and a TIFF reduced to its first directory."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from pipeline import sentences
from pipeline.errors import NeedsTooMuchMemory, TooManyFrames
from pipeline.formats.spliced import MAX_PROFILE_BYTES, MAX_UNUSED_BYTES, Spliced
from pipeline.formats.tiff import ARTIST, COPYRIGHT, TiffLayout, layout_of

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_MOST_ENTRIES = 4096
"""libtiff takes a directory with more fields for one that is no directory."""

_MAX_STRIPS = 500_000
"""Strips or tiles of an image; one of 120 megapixels has 469,000 tiles of 16 x 16 pixels."""

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""The size of one value of each type: TIFF 6.0, and 13 to 18 of BigTIFF."""

_PROFILE = 34_675
_STRIPS = frozenset({273, 279, 324, 325})
_USED = frozenset(
    {
        254, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 286, 287,
        290, 291, 292, 293, 296, 297, 301, ARTIST, 317, 318, 319, 320, 321, 322, 323, 324, 325, 326, 327, 328, 332,
        333, 334, 336, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520, 529, 530, 531, 532,
        COPYRIGHT, 34_665, _PROFILE,
    }
)  # fmt: skip
"""The fields that affect pixels, colours, orientation or the names that are kept."""


def reduced(path: Path, *, most_pages: int) -> Spliced | None:
    """Return the TIFF with its first directory alone, without metadata that is not used; None if it needs no change.

    It needs one if the chain of directories ends in nonsense, which libtiff takes for damage of the first image, or if
    the metadata is larger than `MAX_UNUSED_BYTES`.

    Raises:
        TooManyFrames: there are more than `most_pages` directories.
        NeedsTooMuchMemory: the first directory has far more strips or tiles, or a far larger profile, than any image.
    """
    with path.open("rb") as file:
        try:
            layout = layout_of(file)
            file.seek(layout.first)
            (first,) = layout.read(file, layout.offset)
            entries = _entries(file, layout, first)
            ends_well = _count(file, layout, first, most_pages=most_pages)
        except (struct.error, ValueError, OverflowError):  # not even the first directory is whole: libtiff reports it
            return None
        _check(layout, entries, file_bytes=os.fstat(file.fileno()).st_size)
        unused = sum(_bytes(layout, entry) for entry in entries if _tag(layout, entry) not in _USED)
        if ends_well and unused <= MAX_UNUSED_BYTES:
            return None
        return _only(path, layout, [entry for entry in entries if _tag(layout, entry) in _USED])


def _entries(file: BinaryIO, layout: TiffLayout, offset: int) -> list[bytes]:
    """Return the entries of the directory at `offset`, and leave the file at the offset of the next one.

    Raises:
        ValueError: there is no directory.
    """
    file.seek(offset)
    (count,) = layout.read(file, layout.count)
    length = struct.calcsize(layout.order + layout.entry)
    if not 0 < count <= _MOST_ENTRIES:
        raise ValueError(count)
    block = file.read(length * count)
    if len(block) < length * count:
        raise ValueError(len(block))
    return [block[start : start + length] for start in range(0, len(block), length)]


def _count(file: BinaryIO, layout: TiffLayout, first: int, *, most_pages: int) -> bool:
    """Return whether the chain of directories ends, or returns to one that was there before."""
    seen, offset = set[int](), first
    while offset and offset not in seen:
        seen.add(offset)
        if len(seen) > most_pages:
            raise TooManyFrames(sentences.PAGES.format(limit=most_pages))
        try:
            _entries(file, layout, offset)
            (offset,) = layout.read(file, layout.offset)
        except (struct.error, ValueError, OverflowError):
            return False
    return True


def _check(layout: TiffLayout, entries: list[bytes], *, file_bytes: int) -> None:
    """Raise an error if a field that the file really contains is too large; libtiff refuses those beyond its end."""
    for entry in entries:
        tag, _, values, _ = struct.unpack(layout.order + layout.entry, entry)
        if _bytes(layout, entry) > file_bytes:
            continue
        if tag in _STRIPS and values > _MAX_STRIPS:
            raise NeedsTooMuchMemory(sentences.STRIPS.format(number=values, limit=_MAX_STRIPS))
        if tag == _PROFILE and _bytes(layout, entry) > MAX_PROFILE_BYTES:
            raise NeedsTooMuchMemory(sentences.LARGE_PROFILE)


def _only(path: Path, layout: TiffLayout, entries: list[bytes]) -> Spliced:
    """Return the file with another first directory behind its end, to which the header points."""
    size = path.stat().st_size
    padding = bytes(size % 2)
    pointer = struct.pack(layout.order + layout.offset, size + len(padding))
    behind = layout.first + len(pointer)
    with path.open("rb") as file:
        head = file.read(layout.first) + pointer
    count = struct.pack(layout.order + layout.count, len(entries))
    return Spliced(path, (head, range(behind, size), padding + count + b"".join(entries) + bytes(len(pointer))))


def _tag(layout: TiffLayout, entry: bytes) -> int:
    return int(struct.unpack_from(layout.order + "H", entry)[0])


def _bytes(layout: TiffLayout, entry: bytes) -> int:
    _, kind, values, _ = struct.unpack(layout.order + layout.entry, entry)
    return int(values) * _TYPE_BYTES.get(kind, 1)
