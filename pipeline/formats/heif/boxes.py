"""The boxes of ISO media files: which items a file holds, where their bytes lie, and which properties they have.

Nothing here recurses, and every count and length is bounded before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from pipeline import sentences
from pipeline.errors import Corrupt, UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_GRID_BYTES = 12
"""Bytes. The longest description of a grid."""

MIME = b"mime"
"""The kind of an item with a media type."""

_MOST_BOX_BYTES = 1 << 20
"""Bytes. The largest box that is read; the boxes of a photograph of 200 megapixels in tiles have 40,000."""

_MOST_BOXES = 256
_MOST_ITEMS = 10_000
_MOST_EXTENTS = 20_000
_MOST_PROPERTIES = 4096
_MOST_ASSOCIATIONS = 100_000
_MOST_CONTENT = 64
_FILE, _DATA_BOX = 0, 1
"""Where an item's bytes are counted from: the start of the file, or of the box `idat`."""

_WIDE, _TO_THE_END = 1, 0
"""Sizes of a box with a special meaning: the real size follows in 64 bits; the box is the last one."""

File = BinaryIO


def damaged(reason: sentences.DamageReason) -> Corrupt:
    """Return the error for an invalid file."""
    return Corrupt(sentences.DAMAGED_BECAUSE.format(reason=reason))


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of bytes of the file."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an item: its kind, its content, the whole box, and whether a reader must understand it."""

    kind: bytes
    box: bytes
    is_essential: bool

    @property
    def content(self) -> bytes:
        """The start of the box, without its head; the properties of interest are shorter."""
        return self.box[8 : 8 + _MOST_CONTENT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item of the file, such as a coded image, a grid or an EXIF block."""

    kind: bytes
    content_type: bytes
    """The media type of an item of the kind `mime`."""
    is_protected: bool
    extents: tuple[Extent, ...]
    associations: tuple[tuple[int, bool], ...]
    """Numbers of properties from 1 on, and whether each is essential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The items of a file; `references` maps a kind and an item to the items that it refers to."""

    primary: int
    items: dict[int, Item]
    properties: tuple[bytes, ...]
    references: dict[tuple[bytes, int], tuple[int, ...]]

    def properties_of(self, item: Item | None) -> tuple[Property, ...]:
        """Return the properties of an item, in the order in which they apply."""
        found = []
        for number, is_essential in item.associations if item else ():
            if number > len(self.properties):
                raise damaged("a property is missing")
            if number:  # 0 is none
                box = self.properties[number - 1]
                found.append(Property(box[4:8], box, is_essential))
        return tuple(found)


class Cursor:
    """Reads numbers from bytes, from the start on; raises `Corrupt` at their end."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    @property
    def left(self) -> int:
        """The number of bytes that are not read yet."""
        return len(self.content) - self.place

    def take(self, length: int) -> bytes:
        """Return the next bytes."""
        if length > self.left:
            raise damaged("a box ends too early")
        self.place += length
        return self.content[self.place - length : self.place]

    def number(self, width: int) -> int:
        """Return the next unsigned number of `width` bytes."""
        return int.from_bytes(self.take(width), "big")

    def signed(self, width: int) -> int:
        """Return the next signed number of `width` bytes."""
        return int.from_bytes(self.take(width), "big", signed=True)

    def count(self, width: int, most: int) -> int:
        """Return the next number, which must not exceed `most`."""
        found = self.number(width)
        if found > most:
            raise damaged("a count is too large")
        return found

    def version(self) -> tuple[int, int]:
        """Return version and flags of a box."""
        return self.number(1), self.number(3)

    def boxes(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield kind and whole bytes of each box in the rest of the content."""
        for _ in range(_MOST_ITEMS):
            if self.left < 8:  # noqa: PLR2004 - the length of a head
                return
            length, kind = self.number(4), self.take(4)
            if length < 8:  # noqa: PLR2004 - as above; the special sizes make no sense for small boxes
                raise damaged("a box has an invalid size")
            self.place -= 8
            yield kind, self.take(length)
        raise damaged("it has too many boxes")


def read(file: File) -> Contents:
    """Return the items of an open file; every byte of them lies within the file.

    Raises:
        Corrupt: the file is truncated, or its boxes are invalid.
        UnsupportedFormat: its items are stored in a way that is not supported.
    """
    end = file.seek(0, 2)
    meta = next((extent for kind, extent in _boxes_of(file, Extent(0, end)) if kind == b"meta"), None)
    if meta is None:
        raise damaged("it has no description of an image")
    places = dict(_boxes_of(file, Extent(meta.start + 4, meta.length - 4)))
    boxes = {kind: _read(file, places[kind]) for kind in (b"pitm", b"iinf", b"iloc", b"iprp") if kind in places}
    if len(boxes) < 4:  # noqa: PLR2004 - all of the above
        raise damaged("a part of its description is missing")
    extents = _extents(Cursor(boxes[b"iloc"]), end=end, data=places.get(b"idat"))
    properties, associations = _properties(Cursor(boxes[b"iprp"]))
    kinds = _kinds(Cursor(boxes[b"iinf"]))
    return Contents(
        primary=_primary(Cursor(boxes[b"pitm"])),
        items={
            number: Item(
                kind=kind,
                content_type=content_type,
                is_protected=is_protected,
                extents=extents.get(number, ()),
                associations=associations.get(number, ()),
            )
            for number, (kind, content_type, is_protected) in kinds.items()
        },
        properties=properties,
        references=_references(Cursor(_read(file, places[b"iref"]))) if b"iref" in places else {},
    )


def bytes_of(file: File, extents: Sequence[Extent]) -> bytes:
    """Return the bytes of these extents, joined."""
    return b"".join(_read_at(file, extent) for extent in extents)


def _boxes_of(file: File, within: Extent) -> Iterator[tuple[bytes, Extent]]:
    """Yield the kind and the content of the boxes that lie in a part of the file; only the first of each kind."""
    start, end = within.start, within.start + within.length
    seen = set()
    for _ in range(_MOST_BOXES):
        if end - start < 8:  # noqa: PLR2004 - the length of a head
            return
        head = Cursor(_read_at(file, Extent(start, min(16, end - start))))
        length, kind = head.number(4), head.take(4)
        skip = 8
        if length == _WIDE:
            length, skip = head.number(8), 16
        elif length == _TO_THE_END:
            length = end - start
        if length < skip:
            raise damaged("a box has an invalid size")
        if kind not in seen and start + length <= end:
            yield kind, Extent(start + skip, length - skip)
        seen.add(kind)
        start += length
    raise damaged("it has too many boxes")


def _read(file: File, extent: Extent) -> bytes:
    if extent.length > _MOST_BOX_BYTES:
        raise damaged("a box is too large")
    return _read_at(file, extent)


def _read_at(file: File, extent: Extent) -> bytes:
    file.seek(extent.start)
    found = file.read(extent.length)
    if len(found) < extent.length:
        raise damaged("it ends too early")
    return found


def _primary(cursor: Cursor) -> int:
    version, _ = cursor.version()
    return cursor.number(4 if version else 2)


def _kinds(cursor: Cursor) -> dict[int, tuple[bytes, bytes, bool]]:
    """Return each item's kind, its media type if it is `mime`, and whether it is encrypted."""
    version, _ = cursor.version()
    cursor.count(4 if version else 2, _MOST_ITEMS)
    found = {}
    for kind, box in cursor.boxes():
        entry = Cursor(box[8:])
        version, _ = entry.version()
        if kind == b"infe" and version >= 2:  # noqa: PLR2004 - older ones have no kind
            number = entry.number(2 if version == 2 else 4)  # noqa: PLR2004 - as above
            is_protected = entry.number(2) > 0
            item = entry.take(4)
            _, *texts = entry.take(entry.left).split(b"\0") if item == MIME else [b""]
            found[number] = item, texts[0] if texts else b"", is_protected
    return found


def _extents(cursor: Cursor, *, end: int, data: Extent | None) -> dict[int, tuple[Extent, ...]]:
    version, _ = cursor.version()
    widths = cursor.number(1), cursor.number(1)
    offset_width, length_width, base_width = widths[0] >> 4, widths[0] & 15, widths[1] >> 4
    index_width = widths[1] & 15 if version else 0
    found: dict[int, tuple[Extent, ...]] = {}
    most = _MOST_EXTENTS
    for _ in range(cursor.count(2 if version < 2 else 4, _MOST_ITEMS)):  # noqa: PLR2004 - as the standard numbers them
        number = cursor.number(2 if version < 2 else 4)  # noqa: PLR2004 - as above
        method = cursor.number(2) & 15 if version else _FILE
        if cursor.number(2) or method not in (_FILE, _DATA_BOX):
            raise UnsupportedFormat(sentences.HEIF_OTHER_DATA)
        base = cursor.number(base_width)
        count = cursor.count(2, most)
        most -= count
        whole = Extent(0, end) if method == _FILE else data or Extent(0, 0)
        own = []
        for _ in range(count):
            cursor.take(index_width)
            start, length = base + cursor.number(offset_width), cursor.number(length_width)
            own.append(Extent(whole.start + start, length))
            if start + length > whole.length:
                raise damaged("a part of the image lies beyond its end")
        found[number] = tuple(own)
    return found


def _properties(cursor: Cursor) -> tuple[tuple[bytes, ...], dict[int, tuple[tuple[int, bool], ...]]]:
    """Return the boxes of all properties, and each item's numbers of them."""
    properties: tuple[bytes, ...] = ()
    associations: dict[int, tuple[tuple[int, bool], ...]] = {}
    for kind, box in cursor.boxes():
        if kind == b"ipco" and not properties:
            properties = tuple(own for _, own in Cursor(box[8:]).boxes())
        elif kind == b"ipma":
            associations.update(_associations(Cursor(box[8:])))
    if len(properties) > _MOST_PROPERTIES:
        raise damaged("it has too many properties")
    return properties, associations


def _associations(cursor: Cursor) -> Iterator[tuple[int, tuple[tuple[int, bool], ...]]]:
    version, flags = cursor.version()
    width = 2 if flags & 1 else 1
    top = 1 << (8 * width - 1)
    most = _MOST_ASSOCIATIONS
    for _ in range(cursor.count(4, _MOST_ITEMS)):
        number = cursor.number(4 if version else 2)
        count = cursor.count(1, most)
        most -= count
        found = [cursor.number(width) for _ in range(count)]
        yield number, tuple((one & (top - 1), bool(one & top)) for one in found)


def _references(cursor: Cursor) -> dict[tuple[bytes, int], tuple[int, ...]]:
    version, _ = cursor.version()
    width = 4 if version else 2
    found: dict[tuple[bytes, int], tuple[int, ...]] = {}
    for kind, box in cursor.boxes():
        entry = Cursor(box[8:])
        source = entry.number(width)
        found[kind, source] = tuple(entry.number(width) for _ in range(entry.count(2, _MOST_ITEMS)))
    return found
