"""The first directory of a TIFF, read to tell what libvips would show wrongly or by its thumbnail."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

_ENTRIES, _VALUES = 1000, 8
"""How many fields of a directory are read, and how many numbers of each."""

ARTIST, COPYRIGHT = 315, 33_432
_NEW_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA, _KINDS = 254, 258, 262, 277, 338, 339
_COMPRESSION, _ROWS, _PLANES = 259, 278, 284
_DNG_VERSION = 50_706
"""TIFF 6.0 and DNG 1.7 number their fields so."""

_READ = frozenset(
    {_NEW_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA, _KINDS, _DNG_VERSION, _COMPRESSION, _ROWS, _PLANES}
)
_TEXTS = frozenset({2, 129})
"""Types of text: ASCII, which often is UTF-8, and EXIF 3.0's UTF-8."""

_OWNER = frozenset({ARTIST, COPYRIGHT})
_TEXT_BYTES = 500
_SHAPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of whole numbers, as `struct` writes them."""

_REDUCED = 1
_CIELAB, _ICCLAB, _ITULAB = 8, 9, 10
_SENSORS = frozenset({32_803, 34_892})
_MEASUREMENTS = frozenset({3, 5, 6})
_ALPHAS = frozenset({1, 2})
_LAB_BANDS = 3
_APART = 2
_BYTE = 8


@dataclass(frozen=True, slots=True)
class Directory:
    """The fields of a TIFF's first picture whose values are whole numbers; empty where they make no sense."""

    fields: Mapping[int, tuple[int, ...]]
    texts: Mapping[int, bytes]

    @property
    def colour_bands(self) -> int | None:
        """How many samples of a pixel are colour or alpha, where the file says that; alpha beside Lab is not read."""
        if self.first(_PHOTOMETRIC) == _CIELAB:
            return _LAB_BANDS
        extra, samples = self.fields.get(_EXTRA), self.first(_SAMPLES)
        if not extra or not samples or len(extra) >= samples:
            return None
        return samples - len(extra) + (extra[0] in _ALPHAS)

    @property
    def strip_rows(self) -> int | None:
        """How many rows lie together; None where all of them do."""
        return self.first(_ROWS)

    @property
    def is_compressed(self) -> bool:
        """Whether rows can only be read with those before them."""
        return self.first(_COMPRESSION) not in (None, 1)

    @property
    def is_planar(self) -> bool:
        """Whether each colour lies by itself, which takes a whole strip of each to make a row."""
        return self.first(_PLANES) == _APART

    def first(self, field: int) -> int | None:
        """Give a field's first number, or None where there is none."""
        values = self.fields.get(field)
        return values[0] if values else None

    def check(self) -> None:
        """Refuse what is no picture to be shown as it lies there.

        Raises:
            UnsupportedFormat: a camera's raw file, whose first picture is a thumbnail; colours that libvips mistakes.
        """
        photometric, kinds = self.first(_PHOTOMETRIC), self.fields.get(_KINDS, ())
        is_reduced = (self.first(_NEW_SUBFILE_TYPE) or 0) & _REDUCED
        if _DNG_VERSION in self.fields or photometric in _SENSORS or is_reduced:
            raise UnsupportedFormat(
                "A camera's raw file, or a TIFF that begins with a thumbnail, cannot be read here; export it as a JPEG."
            )
        if photometric in (_ICCLAB, _ITULAB) or (photometric == _CIELAB and self.first(_BITS) == _BYTE):
            raise UnsupportedFormat("This TIFF has Lab colours in 8 bits, which cannot be read; export it as a JPEG.")
        if photometric != _CIELAB and _MEASUREMENTS.intersection(kinds):
            raise UnsupportedFormat(
                "This TIFF holds numbers with fractions (float), as measurements do; "
                "export it as a picture of 8 or 16 bits."
            )


def directory(path: Path) -> Directory:
    """Read a TIFF's first directory; at most some kilobytes of the file, wherever it sends one."""
    with path.open("rb") as file:
        return directory_of(file)


def directory_of(file: BinaryIO) -> Directory:
    """Read the first directory of what is open at its beginning: a TIFF, or a block of EXIF, which is one."""
    try:
        return _directory(file)
    except (struct.error, ValueError, OverflowError, OSError):  # cut short; an offset beyond what files have
        return Directory({}, {})


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a TIFF writes its numbers: their byte order, the count of entries, an entry, an offset."""

    order: str
    count: str
    entry: str
    offset: str

    def read(self, file: BinaryIO, shape: str) -> tuple[Any, ...]:
        return struct.unpack(self.order + shape, file.read(struct.calcsize(self.order + shape)))


def _directory(file: BinaryIO) -> Directory:
    head = file.read(4)
    order = "<" if head.startswith(b"II") else ">"
    is_big = b"+" in head
    layout = _Layout(order, "Q", "HHQ8s", "Q") if is_big else _Layout(order, "H", "HHI4s", "I")
    file.seek(8 if is_big else 4)
    file.seek(layout.read(file, layout.offset)[0])
    (entries,) = layout.read(file, layout.count)
    length = struct.calcsize(order + layout.entry)
    block = file.read(length * min(entries, _ENTRIES))
    numbers, texts = {}, {}
    for field, kind, values, inline in struct.iter_unpack(order + layout.entry, block[: len(block) // length * length]):
        if field in _READ and kind in _SHAPES:
            numbers[field] = _values(file, layout, inline, f"{min(values, _VALUES)}{_SHAPES[kind]}")
        if field in _OWNER and kind in _TEXTS:
            (texts[field],) = _values(file, layout, inline, f"{min(values, _TEXT_BYTES)}s")
    return Directory(numbers, texts)


def _values(file: BinaryIO, layout: _Layout, values: bytes, shape: str) -> tuple[Any, ...]:
    """Read the values of a field, from its entry where they fit into it, else from where it points."""
    length = struct.calcsize(layout.order + shape)
    if length <= len(values):
        return struct.unpack(layout.order + shape, values[:length])
    file.seek(struct.unpack(layout.order + layout.offset, values)[0])
    return layout.read(file, shape)
