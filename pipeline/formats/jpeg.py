"""Parsing of JPEG markers, to distinguish harmless defects from lost image data.

libjpeg alone cannot: it reports only its first warning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline import sentences
from pipeline.errors import Corrupt, NeedsTooMuchMemory
from pipeline.formats.spliced import MAX_PROFILE_BYTES, Spliced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

END = b"\xff\xd9"
"""The end-of-image marker."""

_SOI, _SOS, _APP0, _APP1, _APP2, _ADOBE, _COMMENT = 0xD8, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_SEQUENTIAL, _PROGRESSIVE = frozenset({0xC0, 0xC1, 0xC9}), frozenset({0xC2, 0xCA})
"""The markers of frame headers, which list the components; other kinds of frames are not decoded here.

Source: ITU-T T.81, table B.1.
"""

_BARE = frozenset({0x01, *range(0xD0, 0xDA)})
"""Markers without length and content."""

_MAX_STRAY_BYTES = 1 << 16
"""The most stray bytes that are skipped before a marker."""

_CHUNK_BYTES = 1 << 18
_LATER_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e](?=([\1-\4].{5,11}))", re.DOTALL)
"""Matches the header of a scan after the first.

Within coded pixels, 0xff is followed only by 0 or by the number of a restart marker. The parameters are matched with a
look-ahead. An empty scan is shorter than the longest header, so the next header may begin within the matched bytes.
"""

_LONGEST_SCAN = 16
_COEFFICIENTS = 64
_MISSING_SCAN = 99
_TRANSFORMS = {3: b"\0\1", 4: b"\0\2"}
"""Adobe's codes for the colours of 3 and 4 components: RGB or YCbCr, CMYK or YCCK.

If the code is another one, libjpeg assumes the second.
"""

_JFIF, _EXIF, _ICC = b"JFIF\0", b"Exif\0", b"ICC_PROFILE\0"
_KEPT = {_APP0: (_JFIF,), _APP1: (_EXIF,), _APP2: (_ICC,), _ADOBE: (b"Adobe",)}
"""The application segments that are used, by how they begin."""

_JFIF_MAJOR_VERSION = 5


def repair(path: Path, *, behind: int = 0) -> Spliced:
    """Return the JPEG without its harmless defects, so that any warning left is about lost image data.

    Stray bytes between the segments of the header are removed, as are the `behind` bytes after the image that libjpeg
    counted. Invalid parameters of a sequential scan, an unknown version of JFIF and a colour code of Adobe's that does
    not fit the components are corrected. A missing end marker is added. Metadata that is never used is left out.

    Raises:
        Corrupt: the file has no scan.
        NeedsTooMuchMemory: the ICC profile is far larger than any real one.
    """
    used, profile_bytes = list[tuple[int, bytes]](), 0
    with path.open("rb") as file:
        for marker, content in segments(file):
            if _is_used(marker, content):
                used.append((marker, content))
            profile_bytes += len(content) if marker == _APP2 and content.startswith(_ICC) else 0
            if profile_bytes > MAX_PROFILE_BYTES:
                raise NeedsTooMuchMemory(sentences.LARGE_PROFILE)
            if marker == _SOS:
                rest = file.tell()
                end = max(rest, _end(file) - behind)
                return Spliced(path, (_sound_head(used), range(rest, end), END))
    raise Corrupt(sentences.NO_IMAGE_DATA)


def _is_used(marker: int, content: bytes) -> bool:
    """Return whether a segment affects pixels, colours, orientation or the names that are kept."""
    if marker in _APPLICATION:
        return content.startswith(_KEPT.get(marker, ()))
    return marker != _COMMENT


def _sound_head(segments: list[tuple[int, bytes]]) -> bytes:
    frame = next((one for one in segments if one[0] in _SEQUENTIAL | _PROGRESSIVE), (0, b""))
    head = bytearray((0xFF, _SOI))
    for marker, content in segments:
        sound = _sound(marker, content, is_progressive=frame[0] in _PROGRESSIVE, components=len(frame[1][6::3]))
        head += bytes((0xFF, marker)) + (len(sound) + 2).to_bytes(2, "big") + sound
    return bytes(head)


def is_complete(path: Path) -> bool:
    """Return whether the file holds every bit of every coefficient of all components, in any number of scans.

    A file that is truncated between two scans and then closed with an end marker is valid in every other way, but shows
    a blurred image.
    """
    with path.open("rb") as file:
        missing: dict[int, list[int]] = {}
        is_progressive = False
        for marker, content in segments(file):
            if marker in _SEQUENTIAL | _PROGRESSIVE:
                is_progressive = marker in _PROGRESSIVE
                missing = {component: [_MISSING_SCAN] * _COEFFICIENTS for component in content[6::3]}
            if marker == _SOS:
                _receive(missing, content, is_progressive=is_progressive)
        for content in _later_scans(file):
            _receive(missing, content, is_progressive=is_progressive)
    return bool(missing) and not any(any(bits) for bits in missing.values())


def head_bytes(path: Path) -> int:
    """Return the total size of the segments up to the first scan, except comments, which decoders do not keep."""
    with path.open("rb") as file:
        return sum(len(content) for marker, content in segments(file) if marker != _COMMENT)


def samples_per_pixel(path: Path) -> float | None:
    """Return the number of samples per pixel over all components: 1.5 if two colours are halved both ways (4:2:0).

    None if the file has no valid frame header.
    """
    with path.open("rb") as file:
        for marker, content in segments(file):
            if marker in _SEQUENTIAL | _PROGRESSIVE:
                factors = [(factor >> 4, factor & 15) for factor in content[7::3]]
                most = max((across for across, _ in factors), default=0) * max((down for _, down in factors), default=0)
                return sum(across * down for across, down in factors) / most if most else None
    return None


def has_comment(path: Path) -> bool:
    """Return whether the file has a comment before the first scan."""
    with path.open("rb") as file:
        return any(marker == _COMMENT for marker, _ in segments(file))


def segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield each marker and its content up to the first scan, or until no marker is found."""
    while marker := next_marker(file):
        if marker in _BARE - {_SOS}:
            continue
        content = file.read(max(0, int.from_bytes(file.read(2), "big") - 2))
        yield marker, content
        if marker == _SOS:
            return


def next_marker(file: BinaryIO) -> int:
    """Return the next marker, or 0 if none follows; stray bytes are skipped, as libjpeg does."""
    is_announced = False
    for _ in range(_MAX_STRAY_BYTES):
        byte = file.read(1)
        if is_announced and byte not in (b"", b"\0", b"\xff"):
            return byte[0]
        is_announced = byte == b"\xff"
    return 0


def _sound(marker: int, content: bytes, *, is_progressive: bool, components: int) -> bytes:
    if marker == _SOS and not is_progressive:
        return content[:-3] + bytes((0, _COEFFICIENTS - 1, 0))
    if marker == _ADOBE and content.startswith(b"Adobe"):
        known = _TRANSFORMS.get(components, content[11:12])
        return content[:11] + (content[11:12] if content[11:12] in known else known[-1:]) + content[12:]
    if marker == _APP0 and content.startswith(_JFIF) and len(content) > _JFIF_MAJOR_VERSION:
        return content[:_JFIF_MAJOR_VERSION] + b"\1" + content[_JFIF_MAJOR_VERSION + 1 :]
    return content


def _later_scans(file: BinaryIO) -> Iterator[bytes]:
    end = b""
    while chunk := file.read(_CHUNK_BYTES):
        for found in _LATER_SCAN.finditer(end + chunk):
            yield found[1]
        end = chunk[-_LONGEST_SCAN:]


def _end(file: BinaryIO) -> int:
    """Return the position of the end marker, or the end of the file if it has no such marker."""
    before, start = b"", file.tell()
    while chunk := file.read(_CHUNK_BYTES):
        found = (before + chunk).find(END)
        if found >= 0:
            return start - len(before) + found
        before, start = chunk[-1:], start + len(chunk)
    return start


def _receive(missing: dict[int, list[int]], scan: bytes, *, is_progressive: bool) -> None:
    """Record how many low bits of each coefficient are still missing after a scan: T.81, B.2.3."""
    names = 1 + 2 * scan[0] if scan else 0
    if len(scan) < names + 3:
        return
    first, last, low = scan[names], min(scan[names + 1], _COEFFICIENTS - 1), scan[names + 2] & 15
    if not is_progressive:
        first, last, low = 0, _COEFFICIENTS - 1, 0
    for component in scan[1:names:2]:
        if component in missing:
            missing[component][first : last + 1] = [low] * (last + 1 - first)
