"""An image that is computed in rows while libvips reads it from top to bottom, so that it is never whole in memory.

libvips gets it as a TIFF without compression, because pyvips offers no other way to compute pixels on demand.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.image import vips

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS, _STARTS, _BANDS, _LINES, _LENGTHS = (
    256, 257, 258, 259, 262, 273, 277, 278, 279,
)  # fmt: skip
"""The fields of a TIFF."""

_TYPES = {"H": 3, "I": 4}
"""TIFF's numbers of the types with two and with four bytes."""

_INLINE_BYTES = 4
_NO_ROW = -1, memoryview(b"")
_MARK, _ORDER = (b"II*\0", "<") if sys.byteorder == "little" else (b"MM\0*", ">")
_STRIP_LINES = 16
"""Lines that libvips reads at once; a few, because it holds a copy of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """An image in rows of `lines` lines each, the last one perhaps shorter; `bands` is 1 or 3."""

    sides: tuple[int, int]
    bands: int
    is_deep: bool
    lines: int

    def image(self, compute: Callable[[int], memoryview]) -> vips.Image:
        """Return the image; `compute` returns the samples of a row by its number, and is called in order.

        An exception of `compute` ends the reading as a file that is too short does. `compute` must remember it.
        """
        head, row = self._head(), _NO_ROW
        per_row = self.lines * self._line_bytes

        def read(start: int, most: int) -> bytes | memoryview:
            nonlocal row
            if start < len(head):
                return head[start : start + most]
            number, offset = divmod(start - len(head), per_row)
            if number != row[0]:
                row = _NO_ROW  # before the next one is computed
                row = number, compute(number)
            return row[1][offset : offset + most]

        return vips.load_rows(read, ends=len(head) + self._line_bytes * self.sides[1])

    @property
    def _line_bytes(self) -> int:
        return self.sides[0] * self.bands * (2 if self.is_deep else 1)

    def _head(self) -> bytes:
        """Return the start of the TIFF, up to its pixels."""
        width, height = self.sides
        strips = -(-height // _STRIP_LINES)
        strip = _STRIP_LINES * self._line_bytes
        lengths = [*[strip] * (strips - 1), self._line_bytes * height - strip * (strips - 1)]

        def fields(pixels: int) -> bytes:
            return _directory(
                [
                    (_WIDTH, "I", [width]),
                    (_HEIGHT, "I", [height]),
                    (_BITS, "H", [16 if self.is_deep else 8] * self.bands),
                    (_COMPRESSION, "H", [1]),
                    (_COLOURS, "H", [1 if self.bands == 1 else 2]),
                    (_STARTS, "I", [pixels + number * strip for number in range(strips)]),
                    (_BANDS, "H", [self.bands]),
                    (_LINES, "I", [_STRIP_LINES]),
                    (_LENGTHS, "I", lengths),
                ]
            )

        return fields(len(fields(0)))


def _directory(fields: Sequence[tuple[int, str, Sequence[int]]]) -> bytes:
    """Return a TIFF with one directory of these fields: number, type and values."""
    entries, more = b"", b""
    place = len(_MARK) + 4 + 2 + 12 * len(fields) + 4
    for field, kind, values in fields:
        packed = struct.pack(f"{_ORDER}{len(values)}{kind}", *values)
        if len(packed) <= _INLINE_BYTES:
            where = packed.ljust(_INLINE_BYTES, b"\0")
        else:
            where = struct.pack(f"{_ORDER}I", place + len(more))
            more += packed
        entries += struct.pack(f"{_ORDER}HHI", field, _TYPES[kind], len(values)) + where
    return _MARK + struct.pack(f"{_ORDER}IH", len(_MARK) + 4, len(fields)) + entries + bytes(4) + more
