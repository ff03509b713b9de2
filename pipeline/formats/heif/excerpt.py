"""A minimal HEIC or AVIF file of one coded image.

Decoders get such files instead of the original: each tile is then decoded on its own, so a missing one is an error, and
turns, mirrors and crops are left to the service, which applies them to colours and alpha alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.formats.heif.main_image import HEVC, payload

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.formats.heif.main_image import Coded

_ESSENTIAL = 0x80
_WIDTHS = b"\x44\0"
"""Offsets and lengths of 4 bytes, no base."""


def excerpt(path: Path, image: Coded) -> bytes:
    """Return a file whose main image is `image` of the file at `path`, as it is coded."""
    data = payload(path, image)
    head = _head(image, place=0, length=len(data))
    return _head(image, place=len(head), length=len(data)) + data


def _head(image: Coded, *, place: int, length: int) -> bytes:
    """Return everything in front of the compressed data, which start at `place`."""
    brand = b"heic" if image.codec == HEVC else b"avif"
    item = (1).to_bytes(2, "big")
    locations = _WIDTHS + item + item + bytes(2) + item + _number(place) + _number(length)
    entry = _box(b"infe", bytes([2, 0, 0, 0]) + item + bytes(2) + image.codec + b"\0")
    numbers = bytes(_ESSENTIAL | number for number in range(1, len(image.properties) + 1))
    associations = _number(1) + item + bytes([len(numbers)]) + numbers
    properties = _box(b"ipco", b"".join(image.properties)) + _full_box(b"ipma", associations)
    boxes = (
        _full_box(b"hdlr", bytes(4) + b"pict" + bytes(13)),
        _full_box(b"pitm", item),
        _full_box(b"iloc", locations),
        _full_box(b"iinf", item + entry),
        _box(b"iprp", properties),
    )
    kinds = _box(b"ftyp", brand + bytes(4) + brand + b"mif1miaf")
    return kinds + _full_box(b"meta", b"".join(boxes)) + _number(8 + length) + b"mdat"


def _box(kind: bytes, content: bytes) -> bytes:
    return _number(8 + len(content)) + kind + content


def _full_box(kind: bytes, content: bytes) -> bytes:
    return _box(kind, bytes(4) + content)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
