"""The first directory of a TIFF, used to reject files that libvips would render wrongly or by their thumbnail."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pipeline import sentences
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
_COEFFICIENTS, _SUBSAMPLING, _REFERENCE = 529, 530, 532
ORIENTATION = 274
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
        _COEFFICIENTS,
        _SUBSAMPLING,
        _REFERENCE,
        ORIENTATION,
    }
)
_TEXTS = frozenset({2, 129})
"""The types of text: ASCII, which often contains UTF-8, and the UTF-8 of EXIF 3.0."""

_OWNER = frozenset({ARTIST, COPYRIGHT})
_TEXT_BYTES = 500
_SHAPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""The types of integers, and their format characters for `struct`."""

_RATIONAL = 5
"""The type of fractions of two integers."""

_REDUCED = 1
_CIELAB, _ICCLAB, _ITULAB = 8, 9, 10
_SENSORS = frozenset({32_803, 34_892})
_MEASUREMENTS = frozenset({3, 5, 6})
_PALETTE, _YCBCR = 3, 6
_OLD_JPEG, _JPEG = 6, 7
_DEPTHS = frozenset({1, 2, 4, 8, 16, 32, 64})
_ALPHAS = frozenset({1, 2})
_LAB_BANDS = 3
_PLANAR = 2
_BYTE = 8


_LUMA, _FULL_RANGE = (0.299, 0.587, 0.114), (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
"""The coefficients of TIFF 6.0, section 21, and the range in which JFIF stores YCbCr."""


@dataclass(frozen=True, slots=True)
class YCbCr:
    """The coefficients of red, green and blue in the luma, and black and white of the three samples."""

    luma: tuple[float, ...]
    reference: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Directory:
    """The integer and text fields of a TIFF's first directory that are used here; empty if it is invalid."""

    fields: Mapping[int, tuple[int, ...]]
    texts: Mapping[int, bytes]
    fractions: Mapping[int, tuple[float, ...]]

    @property
    def unused_bands(self) -> int:
        """The number of samples per pixel that are neither colour nor alpha; 0 if the file does not declare it.

        Alpha beside Lab is not supported, so it is counted here.
        """
        extra, samples = self.fields.get(_EXTRA), self.first(_SAMPLES)
        if self.first(_PHOTOMETRIC) == _CIELAB:
            return max(0, (samples or 0) - _LAB_BANDS)
        if not extra or not samples or len(extra) >= samples:
            return 0
        return len(extra) - (extra[0] in _ALPHAS)

    @property
    def ycbcr(self) -> YCbCr | None:
        """How the colours are stored if they are YCbCr that decoders do not convert; None if they are not."""
        if self.first(_PHOTOMETRIC) != _YCBCR or self.first(_COMPRESSION) == _JPEG:
            return None
        luma, reference = self.fractions.get(_COEFFICIENTS, ()), self.fractions.get(_REFERENCE, ())
        return YCbCr(
            luma=luma if len(luma) == len(_LUMA) else _LUMA,
            reference=reference if len(reference) == len(_FULL_RANGE) else _FULL_RANGE,
        )

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
                misinterprets, or holds samples or a compression that libvips does not read.
        """
        photometric, kinds = self.first(_PHOTOMETRIC), self.fields.get(_SAMPLE_FORMAT, ())
        is_reduced = (self.first(_NEW_SUBFILE_TYPE) or 0) & _REDUCED
        if _DNG_VERSION in self.fields or photometric in _SENSORS or is_reduced:
            raise UnsupportedFormat(sentences.RAW)
        if self.first(_COMPRESSION) == _OLD_JPEG:
            raise UnsupportedFormat(sentences.TIFF_OLD_JPEG)
        if (bits := self.first(_BITS) or 1) not in _DEPTHS:
            raise UnsupportedFormat(sentences.TIFF_DEPTH.format(number=bits))
        if photometric in (_ICCLAB, _ITULAB) or (photometric == _CIELAB and self.first(_BITS) == _BYTE):
            raise UnsupportedFormat(sentences.TIFF_LAB)
        if photometric == _YCBCR and self.first(_BITS) not in (None, _BYTE):
            raise UnsupportedFormat(sentences.TIFF_YCBCR)
        if photometric != _CIELAB and _MEASUREMENTS.intersection(kinds):
            raise UnsupportedFormat(sentences.TIFF_FLOAT)


def directory(path: Path) -> Directory:
    """Return a TIFF's first directory; reads at most some kilobytes of the file, regardless of its offsets."""
    with path.open("rb") as file:
        return directory_of(file)


def directory_of(file: BinaryIO) -> Directory:
    """Return the first directory of a file open at its start: a TIFF, or an EXIF block, which is structured as one."""
    try:
        return _directory(file)
    except (struct.error, ValueError, OverflowError, OSError):  # truncated, or an offset beyond what a file can have
        return Directory({}, {}, {})


def is_turned(block: bytes) -> bool:
    """Return whether an EXIF block states an orientation other than upright, by a number that EXIF defines."""
    stated = directory_of(BytesIO(block.removeprefix(b"Exif\0\0"))).first(ORIENTATION) or 1
    return 2 <= stated <= 8  # noqa: PLR2004 - EXIF defines eight orientations


@dataclass(frozen=True, slots=True)
class TiffLayout:
    """How a TIFF encodes its numbers: the byte order, and the formats of the entry count, an entry and an offset."""

    order: str
    count: str
    entry: str
    offset: str
    first: int
    """The position of the offset of the first directory."""

    def read(self, file: BinaryIO, shape: str) -> tuple[Any, ...]:
        """Read values with this format of `struct`; raise `struct.error` at the end of the file."""
        return struct.unpack(self.order + shape, file.read(struct.calcsize(self.order + shape)))


def layout_of(file: BinaryIO) -> TiffLayout:
    """Return how the TIFF open at its start encodes its numbers."""
    head = file.read(4)
    order = "<" if head.startswith(b"II") else ">"
    return TiffLayout(order, "Q", "HHQ8s", "Q", 8) if b"+" in head else TiffLayout(order, "H", "HHI4s", "I", 4)


def _directory(file: BinaryIO) -> Directory:
    layout = layout_of(file)
    order = layout.order
    file.seek(layout.first)
    file.seek(layout.read(file, layout.offset)[0])
    (entries,) = layout.read(file, layout.count)
    length = struct.calcsize(order + layout.entry)
    block = file.read(length * min(entries, _ENTRIES))
    numbers, texts, fractions = {}, {}, {}
    for field, kind, values, inline in struct.iter_unpack(order + layout.entry, block[: len(block) // length * length]):
        if field in _READ and kind in _SHAPES:
            numbers[field] = _values(file, layout, inline, f"{min(values, _VALUES)}{_SHAPES[kind]}")
        if field in _READ and kind == _RATIONAL:
            parts = _values(file, layout, inline, f"{2 * min(values, _VALUES)}I")
            fractions[field] = tuple(part / (whole or 1) for part, whole in zip(parts[::2], parts[1::2], strict=True))
        if field in _OWNER and kind in _TEXTS:
            (texts[field],) = _values(file, layout, inline, f"{min(values, _TEXT_BYTES)}s")
    return Directory(numbers, texts, fractions)


def _values(file: BinaryIO, layout: TiffLayout, values: bytes, shape: str) -> tuple[Any, ...]:
    """Return the values of a field, from its entry if they fit into it, otherwise from the offset given there."""
    length = struct.calcsize(layout.order + shape)
    if length <= len(values):
        return struct.unpack(layout.order + shape, values[:length])
    file.seek(struct.unpack(layout.order + layout.offset, values)[0])
    return layout.read(file, shape)
