"""The originals whose derivatives are compared: all of them, or a sample that is the same each time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from anyio import open_file

from proxy.errors import BadKey, CannotStart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.bulk.compare.sides import Side
    from proxy.bulk.originals import Originals
    from proxy.keys.layouts import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOriginals:
    """The originals of a side that can be listed, those whose keys begin with `prefix`."""

    side: Side
    layout: Layout
    prefix: str = ""

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Walk the keys in the order of the side's store."""
        async for key in self.side.keys(self.prefix, after=after):
            if is_original(self.layout, key):
                yield key


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOriginals:
    """The originals that a file names, a key on each line."""

    path: Path
    layout: Layout
    prefix: str = ""

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Walk the keys in the file's order, those behind `after` where it is one of them."""
        is_behind = not after
        try:
            async with await open_file(self.path, encoding="utf-8") as file:
                async for line in file:
                    key = line.rstrip("\r\n")
                    if is_behind and key.startswith(self.prefix) and is_original(self.layout, key):
                        yield key
                    is_behind = is_behind or key == after
        except (OSError, UnicodeDecodeError) as fault:
            raise CannotStart(f"--originals: {self.path} cannot be read ({fault}).") from fault


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledOriginals:
    """So many originals that are known beforehand."""

    chosen: tuple[str, ...]

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Walk the keys, those behind `after`."""
        for key in self.chosen:
            if key > after:
                yield key


async def sample(originals: Originals, number: int, *, seed: int) -> SampledOriginals:
    """Choose so many originals by chance, the same for the same seed in whatever order they come."""
    lots = _lots(originals, seed)
    least: list[tuple[int, str]] = []  # a heap of negative lots: its first is the largest lot that was kept
    async for lot, key in lots:
        if len(least) < number:
            heapq.heappush(least, (-lot, key))
        else:
            heapq.heappushpop(least, (-lot, key))
    return SampledOriginals(chosen=tuple(sorted(key for _, key in least)))


async def _lots(originals: Originals, seed: int) -> AsyncIterator[tuple[int, str]]:
    async for key in originals.walk():
        drawn = blake2b(f"{seed} {key}".encode(), digest_size=8).digest()
        yield int.from_bytes(drawn, "big"), key


def is_original(layout: Layout, key: str) -> bool:
    """Tell whether a key may be an original's."""
    try:
        layout.check_original(key)
    except BadKey:
        return False
    return True
