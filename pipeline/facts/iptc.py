"""IPTC-IIM records, also within the resources of Photoshop. Sources: IIM 4.2, and Photoshop's file format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.facts.texts import Text, decoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DATE_CREATED, TIME_CREATED, BY_LINE, COPYRIGHT_NOTICE, CAPTION = (2, 55), (2, 60), (2, 80), (2, 116), (2, 120)
_CHARACTER_SET: Final = (1, 90)
_USED: Final = frozenset({_CHARACTER_SET, DATE_CREATED, TIME_CREATED, BY_LINE, COPYRIGHT_NOTICE, CAPTION})
_UTF_8: Final = b"\x1b%G"
_SIGNATURE: Final = b"Photoshop 3.0\0"
_RESOURCE: Final = re.compile(rb"8BIM|AgHg|DCSR|PHUT")
_IPTC_RESOURCE: Final = 0x0404
_MARKER, _LONG = 0x1C, 0x8000
_MOST_RECORDS, _MOST_RESOURCES = 2000, 500


@dataclass(frozen=True, slots=True)
class Records:
    """The values of the used data sets, by record and number."""

    values: Mapping[tuple[int, int], tuple[bytes, ...]] = field(default_factory=dict)

    def text(self, name: tuple[int, int]) -> Text | None:
        """Return the values of a data set, separated by semicolons; None if it has none."""
        encoding = "utf-8" if self.values.get(_CHARACTER_SET, ())[:1] == (_UTF_8,) else ""
        found = [decoded(value, encoding=encoding) for value in self.values.get(name, ())]
        if not found:
            return None
        return Text("; ".join(one.value for one in found), next((one.doubts for one in found if one.doubts), ()))

    def plain(self, name: tuple[int, int]) -> str:
        """Return the first value of a data set that holds ASCII; empty if it has none."""
        return next(iter(self.values.get(name, ())), b"").decode("ascii", errors="replace")


def records(block: bytes) -> Records:
    """Return the records of a block, which may be within the resources of Photoshop; those before a damage."""
    if block.startswith((_SIGNATURE, b"8BIM")):
        block = next((content for number, content in _resources(block) if number == _IPTC_RESOURCE), b"")
    found: dict[tuple[int, int], list[bytes]] = {}
    for name, value in _records(block):
        if name in _USED:
            found.setdefault(name, []).append(value)
    return Records({name: tuple(values) for name, values in found.items()})


def _resources(block: bytes) -> Iterator[tuple[int, bytes]]:
    place = len(_SIGNATURE) if block.startswith(_SIGNATURE) else 0
    for _ in range(_MOST_RESOURCES):
        if not _RESOURCE.match(block, place) or place + 12 > len(block):
            return
        number = int.from_bytes(block[place + 4 : place + 6], "big")
        start = place + 6 + (block[place + 6] + 2) // 2 * 2  # behind a name, padded to an even length
        length = int.from_bytes(block[start : start + 4], "big")
        yield number, block[start + 4 : start + 4 + length]
        place = start + 4 + (length + 1) // 2 * 2


def _records(block: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    place = 0
    for _ in range(_MOST_RECORDS):
        if place + 5 > len(block) or block[place] != _MARKER:
            return
        name, length = (block[place + 1], block[place + 2]), int.from_bytes(block[place + 3 : place + 5], "big")
        place += 5
        if length & _LONG:  # the length of the length
            width = length & ~_LONG
            if width > 4:  # noqa: PLR2004 - bytes: as much as any file has
                return
            length = int.from_bytes(block[place : place + width], "big")
            place += width
        if place + length > len(block):
            return
        yield name, block[place : place + length]
        place += length
