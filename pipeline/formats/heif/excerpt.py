"""Minimal HEIC and AVIF files, composed of parts of an original.

Decoders get such files instead of the original. Each tile is decoded on its own, so a missing one is an error.
Turns, mirrors and crops are left to the service, which applies them to colours and alpha alike. What else an original
contains, however much, no decoder sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.formats.heif.main_image import HEVC, payload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.formats.heif.main_image import Coded, MainImage

_ESSENTIAL = 0x80
_WIDTHS = b"\x44\0"
"""Offsets and lengths of 4 bytes, no base."""

_NO_PIXELS = bytes(16)
"""Compressed data of a file of which only the header is read."""


@dataclass(frozen=True, slots=True)
class _Item:
    kind: bytes
    content_type: bytes
    data: bytes


def excerpt(path: Path, image: Coded) -> bytes:
    """Return a file whose main image is `image` of the file at `path`, as it is coded."""
    return _file([_Item(image.codec, b"", payload(path, image))], image.properties)


def header(path: Path, picture: MainImage) -> bytes:
    """Return a file with the sample type, profile and metadata of the file at `path`, but without its pixels."""
    image = picture.colour.tiles[0]
    properties = (*image.properties, picture.profile) if picture.profile else image.properties
    blocks = [_Item(block.kind, block.content_type, payload(path, block)) for block in picture.metadata]
    return _file([_Item(image.codec, b"", _NO_PIXELS), *blocks], properties)


def _file(items: Sequence[_Item], properties: Sequence[bytes]) -> bytes:
    """Return a file whose main image is the first item; the others describe it."""
    head = _head(items, properties, place=0)
    return _head(items, properties, place=len(head)) + b"".join(item.data for item in items)


def _head(items: Sequence[_Item], properties: Sequence[bytes], *, place: int) -> bytes:
    """Return everything in front of the items' data, which start at `place`."""
    brand = b"heic" if items[0].kind == HEVC else b"avif"
    locations, entries, references = b"", b"", b""
    for number, item in enumerate(items, start=1):
        own = _short(number)
        locations += own + bytes(2) + _short(1) + _number(place) + _number(len(item.data))
        entries += _box(b"infe", bytes([2, 0, 0, 0]) + own + bytes(2) + item.kind + b"\0" + item.content_type + b"\0")
        references += _box(b"cdsc", own + _short(1) + _short(1)) if number > 1 else b""
        place += len(item.data)
    numbers = bytes(_ESSENTIAL | number for number in range(1, len(properties) + 1))
    associations = _number(1) + _short(1) + bytes([len(numbers)]) + numbers
    boxes = (
        _full_box(b"hdlr", bytes(4) + b"pict" + bytes(13)),
        _full_box(b"pitm", _short(1)),
        _full_box(b"iloc", _WIDTHS + _short(len(items)) + locations),
        _full_box(b"iinf", _short(len(items)) + entries),
        _full_box(b"iref", references),
        _box(b"iprp", _box(b"ipco", b"".join(properties)) + _full_box(b"ipma", associations)),
    )
    kinds = _box(b"ftyp", brand + bytes(4) + brand + b"mif1miaf")
    length = sum(len(item.data) for item in items)
    return kinds + _full_box(b"meta", b"".join(boxes)) + _number(8 + length) + b"mdat"


def _box(kind: bytes, content: bytes) -> bytes:
    return _number(8 + len(content)) + kind + content


def _full_box(kind: bytes, content: bytes) -> bytes:
    return _box(kind, bytes(4) + content)


def _short(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
