"""Senders that post over connections of their own, with little work of their own between two posts."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from loadtest.servers.service import order, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the posts of one run took, in milliseconds each, and how many of them were answered a second."""

    name: str
    milliseconds: Sequence[float]
    per_second: float

    def percentile(self, share: float) -> float:
        """Give the milliseconds that this share of the posts, 0 to 1, took at most."""
        return percentile(self.milliseconds, share)


def percentile(milliseconds: Sequence[float], share: float) -> float:
    """Give what this share of them, 0 to 1, are at most."""
    ranked = sorted(milliseconds)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def posts(run: str, count: int) -> list[bytes]:
    """Write signed posts down, each for an original of its own, before any clock runs."""
    return [_post(order(f"{run}/{number}_original.jpg")) for number in range(count)]


def _post(body: bytes) -> bytes:
    told = {"host": HOST, "content-length": str(len(body)), **signed(body)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"POST /v1/jobs HTTP/1.1\r\n{lines}\r\n".encode() + body


async def measure(name: str, *, port: int, written: Sequence[bytes], senders: int, pause: float = 0.0) -> Spent:
    """Post everything once, shared out among the senders, who rest for `pause` seconds between two posts.

    Raises:
        RuntimeError: an answer was not 202.
    """
    began = time.perf_counter()
    timings = await asyncio.gather(*(_send(port, written[first::senders], pause=pause) for first in range(senders)))
    seconds = time.perf_counter() - began
    return Spent(name=name, milliseconds=[one for each in timings for one in each], per_second=len(written) / seconds)


async def _send(port: int, written: Sequence[bytes], *, pause: float) -> list[float]:
    reader, writer = await asyncio.open_connection(HOST, port)
    timings = []
    for post in written:
        began = time.perf_counter()
        head = await answer(reader, writer, post)
        timings.append((time.perf_counter() - began) * 1000)
        if int(head.split(b" ", 2)[1]) != HTTPStatus.ACCEPTED:
            raise RuntimeError(f"A post was answered {head.decode()}")
        if pause:
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that they do not march in step
    writer.close()
    await writer.wait_closed()
    return timings


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """Send a request and read its answer whole; gives the head of that."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(_length(head))
    return head


def _length(head: bytes) -> int:
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    return int(lines[b"content-length"])
