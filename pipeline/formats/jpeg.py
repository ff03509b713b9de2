"""The markers of a JPEG, read to tell litter from loss: of all that libjpeg doubts, it names the first thing only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import Corrupt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

END = b"\xff\xd9"
"""The marker behind a picture."""

_SOI, _SOS, _ADOBE, _COMMENT = 0xD8, 0xDA, 0xEE, 0xFE
_SEQUENTIAL, _PROGRESSIVE = frozenset({0xC0, 0xC1, 0xC9}), frozenset({0xC2, 0xCA})
"""The markers that begin a frame, which names its components: ITU-T T.81, table B.1. Others are not decoded here."""

_BARE = frozenset({0x01, *range(0xD0, 0xDA)})
"""Markers that stand alone, without a length."""

_HEAD_BYTES, _LITTER_BYTES = 4 << 20, 1 << 16
"""The most that may lie before the first scan of a file with litter there, and of litter before any marker."""

_CHUNK_BYTES = 1 << 18
_LATER_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e](?=([\1-\4].{5,11}))", re.DOTALL)
"""The head of a scan behind the first: among coded pixels 0xff is followed by 0, or by the number of a restart.

It is looked ahead for, as a scan of nothing is shorter than what may still be of its head: the next may begin there."""

_LONGEST_SCAN = 16
_COEFFICIENTS = 64
_UNSENT = 99
_YCC = 1
"""Adobe's code for colours as JFIF has them, which libjpeg takes an unknown code for."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """A JPEG with another head: `head`, then the bytes of the file from `rest` up to `end`, then its last marker."""

    path: Path
    head: bytes
    rest: int
    end: int


def without_litter(path: Path, *, behind: int) -> Repaired:
    """Give a JPEG without what libjpeg doubts though it is none of the picture; what is lost shows all the better.

    That is bytes between the segments of its head, the parameters of a sequential scan, Adobe's code for colours, and
    as many bytes `behind` the picture as libjpeg counted.

    Raises:
        Corrupt: it has no scan, or far more before it than a picture needs.
    """
    head, is_progressive = bytearray((0xFF, _SOI)), False
    with path.open("rb") as file:
        for marker, content in _segments(file):
            is_progressive |= marker in _PROGRESSIVE
            sound = _sound(marker, content, is_progressive=is_progressive)
            head += bytes((0xFF, marker)) + (len(sound) + 2).to_bytes(2, "big") + sound
            if marker == _SOS:
                rest = file.tell()
                return Repaired(path, bytes(head), rest, max(rest, _end(file) - behind))
            if len(head) > _HEAD_BYTES:
                break
    raise Corrupt("This file is damaged: its picture does not begin; upload it again from the camera.")


def is_whole(path: Path) -> bool:
    """Tell whether every coefficient of every component is sent down to its last bit, be it in one scan or in ten.

    A file that is cut between two scans and closed again is sound in every other way: it shows a blurred picture.
    """
    with path.open("rb") as file:
        missing: dict[int, list[int]] = {}
        is_progressive = False
        for marker, content in _segments(file):
            if marker in _SEQUENTIAL | _PROGRESSIVE:
                is_progressive = marker in _PROGRESSIVE
                missing = {component: [_UNSENT] * _COEFFICIENTS for component in content[6::3]}
            if marker == _SOS:
                _receive(missing, content, is_progressive=is_progressive)
        for content in _later_scans(file):
            _receive(missing, content, is_progressive=is_progressive)
    return bool(missing) and not any(any(bits) for bits in missing.values())


def head_bytes(path: Path) -> int:
    """Tell how much cameras and editors have to say before the first scan: a decoder keeps all but comments."""
    with path.open("rb") as file:
        return sum(len(content) for marker, content in _segments(file) if marker != _COMMENT)


def has_comment(path: Path) -> bool:
    """Tell whether somebody has written a comment before the first scan."""
    with path.open("rb") as file:
        return any(marker == _COMMENT for marker, _ in _segments(file))


def _segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Give each marker with what follows its length, up to the first scan's; or up to where there is none."""
    while marker := _marker(file):
        if marker in _BARE - {_SOS}:
            continue
        content = file.read(max(0, int.from_bytes(file.read(2), "big") - 2))
        yield marker, content
        if marker == _SOS:
            return


def _marker(file: BinaryIO) -> int:
    """Find the next marker, as libjpeg does: past whatever is none. 0 where there is no more of them."""
    is_announced = False
    for _ in range(_LITTER_BYTES):
        byte = file.read(1)
        if is_announced and byte not in (b"", b"\0", b"\xff"):
            return byte[0]
        is_announced = byte == b"\xff"
    return 0


def _sound(marker: int, content: bytes, *, is_progressive: bool) -> bytes:
    if marker == _SOS and not is_progressive:
        return content[:-3] + bytes((0, _COEFFICIENTS - 1, 0))
    if marker == _ADOBE and content.startswith(b"Adobe") and content[11:12] > b"\2":
        return content[:11] + bytes((_YCC,))
    return content


def _later_scans(file: BinaryIO) -> Iterator[bytes]:
    end = b""
    while chunk := file.read(_CHUNK_BYTES):
        for found in _LATER_SCAN.finditer(end + chunk):
            yield found[1]
        end = chunk[-_LONGEST_SCAN:]


def _end(file: BinaryIO) -> int:
    """Find where the last marker of a picture stands, or the file ends."""
    before, start = b"", file.tell()
    while chunk := file.read(_CHUNK_BYTES):
        found = (before + chunk).find(END)
        if found >= 0:
            return start - len(before) + found
        before, start = chunk[-1:], start + len(chunk)
    return start


def _receive(missing: dict[int, list[int]], scan: bytes, *, is_progressive: bool) -> None:
    """Note how many of the last bits of which coefficients still miss after a scan: T.81, B.2.3."""
    names = 1 + 2 * scan[0] if scan else 0
    if len(scan) < names + 3:
        return
    first, last, low = scan[names], min(scan[names + 1], _COEFFICIENTS - 1), scan[names + 2] & 15
    if not is_progressive:
        first, last, low = 0, _COEFFICIENTS - 1, 0
    for component in scan[1:names:2]:
        if component in missing:
            missing[component][first : last + 1] = [low] * (last + 1 - first)
