"""Writes TIFF files that no installed library can write: chosen fields, and pixels as given."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = {1: "B", 3: "H", 4: "I"}
CIELAB, ICCLAB, RGB, SENSOR = 8, 9, 2, 32_803


def write_tiff(path: Path, pixels: bytes, sides: tuple[int, int], fields: dict[int, tuple[int, ...]]) -> None:
    """Write a TIFF of one uncompressed strip; `fields` maps tags to 16-bit numbers and overrides the defaults."""
    default = {256: (sides[0],), 257: (sides[1],), 259: (1,), 277: (3,), 258: (8,), 262: (RGB,), 278: (sides[1],)}
    wanted = {**default, **fields}
    wanted[258] = wanted[258] * wanted[277][0]
    entries, tail = b"", b""
    start = 8 + 2 + 12 * (len(wanted) + 2) + 4
    place = {273: start, 279: len(pixels)}
    for field in sorted([*wanted, *place]):
        if field in place:
            entries += struct.pack("<HHII", field, 4, 1, place[field])
            continue
        numbers = struct.pack(f"<{len(wanted[field])}H", *wanted[field])
        if len(numbers) > 4:
            tail += numbers
            numbers = struct.pack("<I", start + len(pixels) + len(tail) - len(numbers))
        entries += struct.pack("<HHI4s", field, 3, len(wanted[field]), numbers)
    directory = struct.pack("<H", len(wanted) + 2) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + pixels + tail)
