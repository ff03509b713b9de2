"""The segments and scans of a JPEG that decoding needs; each segment is parsed to its last byte.

Of tables, those are copied that a scan is decoded with.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.formats import jpeg, tiff
from pipeline.formats.spliced import Spliced
from pipeline.strip.jpeg_tables import DHT, DQT, DRI, Segment, Tables

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_START: Final = b"\xff\xd8"
_SOF0, _SOF1, _SOF2, _EOI, _SOS, _APP2 = 0xC0, 0xC1, 0xC2, 0xD9, 0xDA, 0xE2
_APP0, _ADOBE, _COMMENT = 0xE0, 0xEE, 0xFE
_FRAMES: Final = (_SOF0, _SOF1, _SOF2)
"""Frames that all browsers decode; arithmetic coding is not among them."""

_DROPPED: Final = frozenset({*range(0xE0, 0xF0), _COMMENT})
_TABLES: Final = (DQT, DHT, DRI)
_MAX_SCANS: Final = 500
_MAX_SEGMENTS: Final = 5000
_MARKER: Final = re.compile(rb"\xff+[^\0\xd0-\xd7\xff]", re.DOTALL)
"""The first marker behind a scan; within it there are only escaped bytes, restart markers and filling."""

_CHUNK_BYTES: Final = 1 << 18
_EXIF: Final = b"Exif\0\0"
_PROFILE: Final = b"ICC_PROFILE\0"
_PROFILE_BYTES: Final = 65_519
"""The part of a profile that fits into one segment (ICC.1:2022, annex B)."""

_JFIF: Final = b"JFIF\0\1\1\0\0\1\0\1\0\0"
"""A JFIF segment without density and thumbnail: version 1.01, square pixels."""

_ADOBE_HEAD: Final = b"Adobe\0\x64\0\0\0\0"
_ADOBE_BYTES, _JFIF_BYTES = 12, 14


@dataclass(slots=True)
class _Copy:
    """The parts of the copy so far, and what was read of the header."""

    parts: list[bytes | range | Segment] = field(default_factory=list)
    frame: int = 0
    """The marker of the frame header; 0 before it."""
    quantization: dict[int, int] = field(default_factory=dict)
    """The number of the quantization table of each component."""
    tables: Tables = field(default_factory=Tables)
    scans: int = 0

    def written(self) -> tuple[bytes | range, ...]:
        """Return the parts, with the tables that scans were decoded with."""
        tables = ((part, part.content()) if isinstance(part, Segment) else (part, b"") for part in self.parts)
        return tuple(
            _segment(part.marker, content) if isinstance(part, Segment) else part
            for part, content in tables
            if content or not isinstance(part, Segment)
        )


def copied(path: Path, profile: bytes) -> Spliced | None:
    """Return a JPEG without metadata; None if a part of it is unknown, or not needed and not metadata either.

    The picture ends at the first end marker. A missing end marker is added, and harmless defects of the header are
    corrected as `pipeline.formats.jpeg.repair` does.
    """
    copy = _Copy()
    with path.open("rb") as file:
        if file.read(2) != _START:
            return None
        labels = _labels(file, profile)
        file.seek(2)
        for _ in range(_MAX_SEGMENTS):
            marker = jpeg.next_marker(file)
            if marker == _EOI or (marker == 0 and copy.scans):
                return Spliced(path, (_START, labels, *copy.written(), jpeg.END)) if copy.scans else None
            if not _take(file, marker, copy):
                return None
    return None


def _labels(file: BinaryIO, profile: bytes) -> bytes:
    """Return segments with the profile, and with what the header declares about the meaning of the components."""
    segments = {}
    for marker, content in jpeg.segments(file):
        if marker == _APP0 and content.startswith(b"JFIF\0") and len(content) >= _JFIF_BYTES:
            segments[_APP0] = _segment(_APP0, _JFIF)
        if marker == _ADOBE and content.startswith(b"Adobe") and len(content) >= _ADOBE_BYTES:
            segments[_ADOBE] = _segment(_ADOBE, _ADOBE_HEAD + bytes((min(content[11], 1),)))
    pieces = [profile[start : start + _PROFILE_BYTES] for start in range(0, len(profile), _PROFILE_BYTES)]
    profiles = [
        _segment(_APP2, _PROFILE + bytes((number, len(pieces))) + piece) for number, piece in enumerate(pieces, 1)
    ]
    return b"".join([*(segments[marker] for marker in sorted(segments)), *profiles])


def _take(file: BinaryIO, marker: int, copy: _Copy) -> bool:
    """Add a segment to the copy if decoding needs it; return whether it is one that is known.

    None of several EXIF segments may turn the picture: programs differ in the one that they read.
    """
    stated = int.from_bytes(file.read(2), "big") - 2
    content = file.read(max(0, stated))
    if len(content) != stated:
        return False
    if marker in _DROPPED:
        return not (content.startswith(_EXIF) and tiff.is_turned(content))
    if marker in _TABLES:
        segment = copy.tables.define(marker, content)
        copy.parts += [segment] if segment else []
        return segment is not None
    if not _is_sound(marker, content, copy):
        return False
    if marker in _FRAMES:
        copy.frame = marker
        copy.quantization = dict(zip(content[6::3], content[8::3], strict=True))
        copy.parts.append(_segment(marker, content))
        return True
    is_progressive = copy.frame == _SOF2
    sequential = content[:-3] + b"\0\x3f\0"
    copy.parts.append(_segment(_SOS, content if is_progressive else sequential))
    copy.parts.append(_scan(file))
    copy.scans += 1
    is_decoded = copy.tables.use(content, copy.quantization, is_progressive=is_progressive)
    return is_decoded and copy.scans <= _MAX_SCANS


def _is_sound(marker: int, content: bytes, copy: _Copy) -> bool:
    """Return whether a segment holds what its marker announces, and not a byte more."""
    if marker in _FRAMES:
        depth, height, width, components = struct.unpack_from(">BHHB", content.ljust(6, b"\0"))
        is_known = depth == 8 and min(height, width) > 0 and components in (1, 3)  # noqa: PLR2004 - bits per sample
        is_whole = len(content) == 6 + 3 * components
        return is_known and not copy.frame and is_whole and len({*content[6::3]}) == components
    count = content[0] if marker == _SOS and content else 0
    return 1 <= count <= len(copy.quantization) and len(content) == 4 + 2 * count


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def _scan(file: BinaryIO) -> range:
    """Return where the compressed data of a scan are, and leave the file at the marker behind them."""
    start = position = file.tell()
    filling = b""
    while chunk := file.read(_CHUNK_BYTES):
        if found := _MARKER.search(filling + chunk):
            end = position - len(filling) + found.start()
            file.seek(end)
            return range(start, end)
        position += len(chunk)
        filling = b"\xff" if chunk.endswith(b"\xff") else b""
    return range(start, position - len(filling))
