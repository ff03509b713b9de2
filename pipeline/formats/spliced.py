"""A file as its decoder is to read it: without harmless defects, and without metadata that is never used."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_PROFILE_BYTES = 4 << 20
"""The largest ICC profile that is read; profiles for printing have up to 3 MB."""

MAX_UNUSED_BYTES = 1 << 20
"""Metadata that is never used is passed to a decoder up to this size: it keeps several copies."""

_PIECE_BYTES = 1 << 18


@dataclass(frozen=True)
class Spliced:
    """Bytes and ranges of the file at `path`, joined in this order."""

    path: Path
    parts: tuple[bytes | range, ...]

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self._ends[-1] if self._ends else 0

    @property
    def added_bytes(self) -> int:
        """The number of bytes that are held in memory."""
        return sum(len(part) for part in self.parts if isinstance(part, bytes))

    def write(self, target: Path) -> None:
        """Write the bytes to the file `target`.

        Raises:
            EOFError: a range lies behind the end of the file.
        """
        with self.path.open("rb") as file, target.open("wb") as made:
            for part in self.parts:
                if isinstance(part, bytes):
                    made.write(part)
                    continue
                file.seek(part.start)
                for start in range(part.start, part.stop, _PIECE_BYTES):
                    piece = file.read(min(_PIECE_BYTES, part.stop - start))
                    if len(piece) < min(_PIECE_BYTES, part.stop - start):
                        raise EOFError
                    made.write(piece)

    def locate(self, start: int) -> bytes | range:
        """Return the rest of the part at a position, from there on; nothing behind the last part."""
        index = bisect_right(self._ends, start)
        if index == len(self.parts):
            return b""
        part = self.parts[index]
        return part[len(part) - (self._ends[index] - start) :]

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(map(len, self.parts)))
