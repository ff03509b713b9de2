"""The first directory of a TIFF, used to reject files that libvips would render wrongly or by their thumbnail."""

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
"""How many fields of a directory are read at most, and how many numbers of each field."""

ARTIST, COPYRIGHT = 315, 33_432
_NEW_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA, _SAMPLE_FORMAT = 254, 258, 262, 277, 338, 339
_COMPRESSION, _ROWS, _PLANES = 259, 278, 284
_DNG_VERSION = 50_706
"""The tag numbers of TIFF 6.0 and DNG 1.7."""

_READ = frozenset(
    {
        _NEW_SUBFILE_TYPE,
        _BITS,
        _PHOTOMETRIC,
        _SAMPLES,
        _EXTRA,
        _SAMPLE_FORMAT,
        _DNG_VERSION,
        _COMPRESSION,
        _ROWS,
        _PLANES,
    }
)
_TEXTS = frozenset({2, 129})
"""The types of text: ASCII, which often contains UTF-8, and the UTF-8 of EXIF 3.0."""

_OWNER = frozenset({ARTIST, COPYRIGHT})
_TEXT_BYTES = 500
_SHAPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""The types of integers, and their format characters for `struct`."""

_REDUCED = 1
_CIELAB, _ICCLAB, _ITULAB = 8, 9, 10
_SENSORS = frozenset({32_803, 34_892})
_MEASUREMENTS = frozenset({3, 5, 6})
_ALPHAS = frozenset({1, 2})
_LAB_BANDS = 3
_PLANAR = 2
_BYTE = 8


@dataclass(frozen=True, slots=True)
class Directory:
    """The integer and text fields of a TIFF's first directory that are used here; empty if it is invalid."""

    fields: Mapping[int, tuple[int, ...]]
    texts: Mapping[int, bytes]

    @property
    def colour_bands(self) -> int | None:
        """The number of samples per pixel that are colour or alpha, or None if the file does not declare it.

        Alpha beside Lab is not supported, so it is not counted.
        """
        if self.first(_PHOTOMETRIC) == _CIELAB:
            return _LAB_BANDS
        extra, samples = self.fields.get(_EXTRA), self.first(_SAMPLES)
        if not extra or not samples or len(extra) >= samples:
            return None
        return samples - len(extra) + (extra[0] in _ALPHAS)

    @property
    def strip_rows(self) -> int | None:
        """The number of rows in a strip; None if all rows are in one."""
        return self.first(_ROWS)

    @property
    def is_compressed(self) -> bool:
        """Whether rows are compressed, and so can only be read after the rows before them."""
        return self.first(_COMPRESSION) not in (None, 1)

    @property
    def is_planar(self) -> bool:
        """Whether each colour is stored separately: then a whole strip of each colour is needed for one row."""
        return self.first(_PLANES) == _PLANAR

    def first(self, field: int) -> int | None:
        """Return a field's first number, or None if the file lacks the field."""
        values = self.fields.get(field)
        return values[0] if values else None

    def check(self) -> None:
        """Raise an error if the image would be rendered wrongly.

        Raises:
            UnsupportedFormat: the file is a camera's raw file or starts with a thumbnail, has colours that libvips
                misinterprets, or holds floating-point measurements.
        """
        photometric, kinds = self.first(_PHOTOMETRIC), self.fields.get(_SAMPLE_FORMAT, ())
        is_reduced = (self.first(_NEW_SUBFILE_TYPE) or 0) & _REDUCED
        if _DNG_VERSION in self.fields or photometric in _SENSORS or is_reduced:
            raise UnsupportedFormat(
                "Camera raw files, and TIFFs whose first image is a thumbnail, are not supported; "
                "export the image as a JPEG."
            )
        if photometric in (_ICCLAB, _ITULAB) or (photometric == _CIELAB and self.first(_BITS) == _BYTE):
            raise UnsupportedFormat("TIFFs with 8-bit Lab colours are not supported; export the image as a JPEG.")
        if photometric != _CIELAB and _MEASUREMENTS.intersection(kinds):
            raise UnsupportedFormat(
                "TIFFs with floating-point or complex samples are not supported; "
                "export the image with 8 or 16 bits per sample."
            )


def directory(path: Path) -> Directory:
    """Return a TIFF's first directory; reads at most some kilobytes of the file, regardless of its offsets."""
    with path.open("rb") as file:
        return directory_of(file)


def directory_of(file: BinaryIO) -> Directory:
    """Return the first directory of a file open at its start: a TIFF, or an EXIF block, which is structured as one."""
    try:
        return _directory(file)
    except (struct.error, ValueError, OverflowError, OSError):  # truncated, or an offset beyond what a file can have
        return Directory({}, {})


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a TIFF encodes its numbers: the byte order, and the formats of the entry count, an entry and an offset."""

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
    """Return the values of a field, from its entry if they fit into it, otherwise from the offset given there."""
    length = struct.calcsize(layout.order + shape)
    if length <= len(values):
        return struct.unpack(layout.order + shape, values[:length])
    file.seek(struct.unpack(layout.order + layout.offset, values)[0])
    return layout.read(file, shape)
