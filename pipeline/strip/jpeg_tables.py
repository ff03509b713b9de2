"""The tables of a JPEG: which of them its scans are decoded with; the others are free bytes, and are not copied.

A quantization table is read at the first scan of a component.

Source: ITU-T T.81, sections B.2.3, B.2.4, F.1.2 and G.1.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

DQT, DHT, DRI = 0xDB, 0xC4, 0xDD

_Key = tuple[int, int]
"""The marker of a table; its class and number, as in its first byte."""

_AC: Final = 0x10
"""The class of the codes of AC coefficients; that of DC coefficients is 0."""

_MOST_NUMBER, _MOST_DC, _MOST_AC, _COEFFICIENTS = 3, 11, 10, 64
_BLOCK_ENDS: Final = frozenset({0x00, 0xF0})
"""The symbols of AC codes without bits of a coefficient: the end of a block, and a run of 16 zeros."""


@dataclass(slots=True)
class Segment:
    """A segment of tables. `used` has the tables that some scan needs."""

    marker: int
    tables: dict[_Key, bytes]
    used: set[_Key] = field(default_factory=set)

    def content(self) -> bytes:
        """Return the used tables, in their order in the file."""
        return b"".join(table for key, table in self.tables.items() if key in self.used)


@dataclass(slots=True)
class Tables:
    """The tables that are in force at a place in the file, and which components were quantized already."""

    current: dict[_Key, Segment] = field(default_factory=dict)
    quantized: set[int] = field(default_factory=set)
    sent: set[tuple[int, int]] = field(default_factory=set)
    """Components with their coefficients of which the first bits were sent."""

    def define(self, marker: int, content: bytes) -> Segment | None:
        """Put the tables of a segment in force; None if it does not consist of whole tables, each of them once."""
        tables = list(_split(marker, content))
        segment = Segment(marker, {key: table for key, table in tables if table})
        if not content or len(segment.tables) < len(tables):
            return None
        self.current.update(dict.fromkeys(segment.tables, segment))
        return segment

    def use(self, scan: bytes, quantization: dict[int, int], *, is_progressive: bool) -> bool:
        """Mark the tables that a scan is decoded with.

        Args:
            scan: the content of the scan's header, of a sound length.
            quantization: the number of the quantization table, by the component.
            is_progressive: whether each scan has a part of the coefficients.

        Returns:
            Whether all of them are there and sound, and the scan replaces no coefficient of an earlier one.
        """
        first, last, bits = scan[-3:] if is_progressive else (0, _COEFFICIENTS - 1, 0)
        is_first = bits >> 4 == 0
        needed = {(DRI, 0)} & {*self.current}
        for component, codes in zip(scan[1:-3:2], scan[2:-3:2], strict=True):
            if component not in quantization or (is_first and not self._send(component, range(first, last + 1))):
                return False
            if component not in self.quantized:
                self.quantized.add(component)
                needed.add((DQT, quantization[component]))
            if first == 0 and is_first:
                needed.add((DHT, codes >> 4))
            if last > 0:
                needed.add((DHT, _AC | codes & 15))
        return all(self._mark(key, is_progressive=is_progressive) for key in needed)

    def _send(self, component: int, coefficients: range) -> bool:
        """Note that the first bits of these coefficients are sent; return whether they were not sent before."""
        new = {(component, number) for number in coefficients}
        is_new = not new & self.sent and coefficients.stop <= _COEFFICIENTS
        self.sent |= new
        return is_new

    def _mark(self, key: _Key, *, is_progressive: bool) -> bool:
        segment = self.current.get(key)
        if segment is None or not _is_sound(key, segment.tables[key], is_progressive=is_progressive):
            return False
        segment.used.add(key)
        return True


def _split(marker: int, content: bytes) -> Iterator[tuple[_Key, bytes]]:
    """Yield the tables of a segment; an empty one in the place of what is no whole table."""
    if marker == DRI:
        yield (DRI, 0), content if len(content) == 2 else b""  # noqa: PLR2004 - one number
        return
    numbered = 15 if marker == DQT else 0xFF  # the upper half of the byte is the precision, or the class
    rest = content
    while rest:
        length = 65 + 64 * (rest[0] >> 4) if marker == DQT else 17 + sum(rest[1:17])
        is_whole = length <= len(rest) and rest[0] >> 4 <= 1 and rest[0] & 15 <= _MOST_NUMBER
        yield (marker, rest[0] & numbered), rest[:length] if is_whole else b""
        rest = rest[length:]


def _is_sound(key: _Key, table: bytes, *, is_progressive: bool) -> bool:
    """Return whether the codes of a table stand for symbols that exist in pixels of 8 bits, each of them once."""
    if key[0] != DHT:
        return True
    symbols = table[17:]
    if key[1] < _AC:
        are_known = all(symbol <= _MOST_DC for symbol in symbols)
    else:
        ends = range(0, 0x100, 0x10) if is_progressive else _BLOCK_ENDS
        are_known = all(symbol in ends or 1 <= symbol & 15 <= _MOST_AC for symbol in symbols)
    return are_known and len({*symbols}) == len(symbols)
