"""An HTTP proxy on loopback that injects faults.

    async with FaultProxy(server.port) as proxy:
        store = ...  # connects to proxy.url
        proxy.fault = Fault(errors=0.3)
        ...
        proxy.fault = CALM

Faults are drawn at random, depending only on the seed and the order of the requests.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

READ_LIMIT = 1 << 20
RST_ON_CLOSE = struct.pack("ii", 1, 0)
"""The value of SO_LINGER for 0 seconds, with which closing sends a reset."""

_BUSY = {500: "InternalError", 503: "SlowDown", 429: "TooManyRequests"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error response in S3's format to every request, or to those with this method, header and part of the path."""

    status: int = 403
    code: str = "AccessDenied"
    method: str = ""
    header: str = ""
    path: str = ""

    def covers(self, seen: Seen) -> bool:
        """Return whether a request is refused."""
        has_header = not self.header or self.header in seen.headers
        return has_header and self.method in {"", seen.method} and self.path in seen.target

    def answer(self, seen: Seen) -> bytes:
        """Return the response."""
        body = f"<Error><Code>{self.code}</Code><Message>on purpose</Message></Error>".encode()
        head = f"HTTP/1.1 {self.status} No\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + (b"" if seen.method == "HEAD" else body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The faults to inject; each fraction, from 0 to 1, is of all requests."""

    latency_seconds: float = 0.0
    """The delay before each request is forwarded."""
    errors: float = 0.0
    """The fraction that gets a 500, 503 or 429; half of these after the server processed the request."""
    resets: float = 0.0
    """The fraction whose connection is reset in the middle of the request's or the response's body."""
    cuts: float = 0.0
    """The fraction whose response ends early, with the connection closed normally."""
    lies: float = 0.0
    """The fraction whose body and Content-Length are both cut to half, so that only the bytes show it."""
    garbles: float = 0.0
    """The fraction whose response body has one wrong byte, with length and headers unchanged."""
    refusal: Refusal | None = None
    """What is refused, without forwarding it."""
    stopped: bool = False
    """Whether to accept and keep connections without forwarding requests or responding."""


CALM = Fault()


@dataclass(frozen=True, slots=True)
class Seen:
    """The head of a received request; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)


class FaultProxy:
    """A proxy that forwards requests to an HTTP server on a loopback port and injects `fault`."""

    def __init__(self, port: int, *, seed: int = 0) -> None:
        self._upstream_port = port
        self._random = random.Random(seed)  # noqa: S311 - the seed repeats the faults of each run
        self._fault = CALM
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen: list[Seen] = []
        """All requests so far."""
        self.struck = 0
        """The number of requests for which a fault other than latency was drawn."""

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=READ_LIMIT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and close every connection."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Return the URL of the proxy."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def connections(self) -> int:
        """Return the number of open client connections."""
        return len(self._tasks)

    @property
    def fault(self) -> Fault:
        """Return the faults that are injected now; they can be changed at any time."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        self._tell()

    async def until_seen(self, requests: int) -> None:
        """Wait until this many requests have arrived in total."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.seen) >= requests)

    async def until_connections(self, most: int) -> None:
        """Wait until at most this many client connections are open."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.connections <= most)

    def _tell(self) -> None:
        async def tell() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._told = asyncio.ensure_future(tell())

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            # Not only ConnectionError: `write_eof` to a client that has just disconnected raises ENOTCONN.
            with suppress(OSError, EOFError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            self._tell()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Handle one request; return whether the connection can be used for another."""
        head = await reader.readuntil(b"\r\n\r\n")
        seen = parsed(head)
        self.seen.append(seen)
        self._tell()
        if "expect" in seen.headers:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self._hold()
        stroke = self._draw()
        length = int(seen.headers.get("content-length", 0))
        if stroke == "resets" and length:
            await reader.readexactly(length // 2)
            return _reset(writer)
        body = await reader.readexactly(length)
        if (refusal := self._fault.refusal) and refusal.covers(seen):
            return _answer(writer, refusal.answer(seen))
        if stroke == "errors" and self._random.random() < 0.5:
            return _answer(writer, self._error(seen))
        answer = await self._passed_on(head, body)
        if stroke == "errors":
            answer = self._error(seen)
        return await _strike(stroke, writer, answer)

    async def _hold(self) -> None:
        if self._fault.latency_seconds:
            await asyncio.sleep(self._fault.latency_seconds)
        async with self._changed:
            await self._changed.wait_for(lambda: not self._fault.stopped)

    def _draw(self) -> str | None:
        drawn = self._random.random()
        for stroke in ("errors", "resets", "cuts", "lies", "garbles"):
            drawn -= getattr(self._fault, stroke)
            if drawn < 0:
                self.struck += 1
                return stroke
        return None

    def _error(self, seen: Seen) -> bytes:
        status = self._random.choice([*_BUSY])
        body = f"<Error><Code>{_BUSY[status]}</Code><Message>on purpose</Message></Error>".encode()
        head = f"HTTP/1.1 {status} Trouble\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + (b"" if seen.method == "HEAD" else body)

    async def _passed_on(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream_port, limit=READ_LIMIT)
        try:
            first, rest = _without(head, b"connection", b"expect").split(b"\r\n", 1)
            writer.write(first + b"\r\nConnection: close\r\n" + rest + body)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            return _without(head + b"\r\n\r\n", b"connection") + body
        finally:
            writer.transport.abort()


def parsed(head: bytes) -> Seen:
    """Return the parsed head of a request."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    return Seen(method, target, {name.lower(): value.strip() for name, _, value in pairs})


def _without(head: bytes, *names: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if line.partition(b":")[0].lower() not in names)


def _answer(writer: asyncio.StreamWriter, answer: bytes) -> bool:
    writer.write(answer)
    return True


def _reset(writer: asyncio.StreamWriter) -> bool:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
    return False


async def _strike(stroke: str | None, writer: asyncio.StreamWriter, answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    if stroke == "lies" and body:
        half = body[: len(body) // 2]
        honest = _without(head, b"content-length")
        return _answer(writer, honest + f"\r\nContent-Length: {len(half)}\r\n\r\n".encode() + half)
    if stroke == "garbles" and body:
        middle = len(body) // 2
        answer = head + b"\r\n\r\n" + body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    if stroke in {"resets", "cuts"}:
        writer.write(answer[: len(answer) - (len(body) + 1) // 2 - (not body) * 10])
        with suppress(ConnectionError):
            await writer.drain()
        if stroke == "resets":
            return _reset(writer)
        writer.write_eof()
        return False
    _answer(writer, answer)
    await writer.drain()
    return True
