"""Page views at a constant rate, with the duration of each."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

MOST_HEADER_BYTES = 1 << 16


@dataclass(slots=True)
class Views:
    """The results of page views: the number of each status, and the seconds that each view took."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def percentile(self, part: float) -> float:
        """Return the duration below which a fraction of the views stays; `part` is between 0 and 1."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


@asynccontextmanager
async def viewing(port: int, paths: Sequence[str], *, a_second: float) -> AsyncIterator[Views]:
    """View pages on a loopback port in turn, for the length of the block; then wait for the last responses.

    Each view starts on time, however long others take, and its duration counts from then.
    """
    views = Views()
    crowd = asyncio.create_task(_come(_Viewer(port, views), paths, a_second=a_second))
    try:
        yield views
    finally:
        crowd.cancel()
        with suppress(asyncio.CancelledError):
            await crowd


class _Viewer:
    """A client that reuses its connections."""

    def __init__(self, port: int, views: Views) -> None:
        self._port = port
        self._views = views
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def look(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        reader, writer = await self._connection()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        self._views.seconds.append(loop.time() - began)
        self._views.statuses[int(head.split(maxsplit=2)[1])] += 1
        await reader.readexactly(_length(head))
        self._free.append((reader, writer))

    async def leave(self) -> None:
        for _, writer in self._free:
            writer.close()
            await writer.wait_closed()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():  # servers close idle connections
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port, limit=MOST_HEADER_BYTES)


async def _come(viewer: _Viewer, paths: Sequence[str], *, a_second: float) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    looks: set[asyncio.Task[None]] = set()
    try:
        for number in itertools.count():
            await asyncio.sleep(began + number / a_second - loop.time())
            looks = {look for look in looks if not look.done() or look.result()}
            looks.add(asyncio.create_task(viewer.look(paths[number % len(paths)])))
    finally:
        await asyncio.gather(*looks)
        await viewer.leave()


def _length(head: bytes) -> int:
    """Return the length of the body that follows."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
