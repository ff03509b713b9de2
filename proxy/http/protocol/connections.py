"""The open HTTP connections of a server: how many, how long, and what all of them together may hold."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.heap import release_memory
from proxy import metrics

if TYPE_CHECKING:
    from asyncio import Transport

LINGER_SECONDS: Final = 5.0
"""How long the rest of a body is dropped after its response: closing at once would reset the connection and lose it."""

MAX_HELD_BYTES: Final = 4 << 20
"""Of the unfinished heads and bodies of all connections together."""

RESERVED_DESCRIPTORS: Final = 64
"""File descriptors left for the store, the queue, render processes and originals in work."""

MAX_CONNECTIONS: Final = 1024
"""Connections by default, where the descriptors suffice."""

SWEEP_SECONDS: Final = 0.5
"""How often connections past their deadline are looked for."""

MOST_UNREAD: Final = 32
"""How many clients may leave responses unread that were written at once; then the application answers, which waits."""

MANY: Final = 128
"""Connections after which, once most of them are closed, their memory goes back to the operating system."""


def default_connections() -> int:
    """Return how many connections may be open: `MAX_CONNECTIONS`, or what the descriptor limit leaves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, soft - RESERVED_DESCRIPTORS))
    )


class OpenConnection(Protocol):
    """What the registry must know of a connection, and do with it."""

    transport: Transport
    held_bytes: int
    last_seen: float
    deadline: float

    @property
    def is_answering(self) -> bool:
        """Whether a response is due to the client."""

    def expire(self) -> None:
        """Close the connection, whose deadline has passed."""

    def abort(self, reason: str) -> None:
        """Close the connection now."""


class Connections:
    """The open connections of one server, and what all of them together may hold."""

    def __init__(self, *, most: int, idle_seconds: float) -> None:
        self.most = most
        self.idle_seconds = idle_seconds
        self.open: dict[OpenConnection, None] = {}
        """In the order in which they came."""
        self._held_bytes = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._most_open = 0
        """Since memory was last released."""
        self._unread: set[OpenConnection] = set()
        """Those whose client may not have read the response that was written at once."""

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self.open)

    def add(self, connection: OpenConnection) -> None:
        """Admit a connection; close the one that has been silent longest if there are too many."""
        self.open[connection] = None
        self._most_open = max(self._most_open, len(self.open))
        metrics.http_connections.set(len(self.open))
        if len(self.open) > self.most:
            others = (other for other in self.open if other is not connection)
            min(others, key=_eviction_order).abort("too-many-connections")
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def remove(self, connection: OpenConnection) -> None:
        """Forget a connection that is closed."""
        self.open.pop(connection, None)
        self._unread.discard(connection)
        self.hold(connection, 0)
        metrics.http_connections.set(len(self.open))

    def hold(self, connection: OpenConnection, size: int) -> None:
        """Record that a connection holds `size` bytes of an unfinished request; close the largest past the bound."""
        self._held_bytes += size - connection.held_bytes
        connection.held_bytes = size
        while self._held_bytes > MAX_HELD_BYTES:
            max(self.open, key=lambda other: other.held_bytes).abort("too-many-bytes")

    def note_unread(self, connection: OpenConnection) -> None:
        """Record that a response was written at once, if the client has not read it yet."""
        if connection.transport.get_write_buffer_size():
            self._unread.add(connection)

    def has_many_unread(self) -> bool:
        """Return whether `MOST_UNREAD` clients have not read their responses."""
        if len(self._unread) >= MOST_UNREAD:
            self._unread = {one for one in self._unread if one.transport.get_write_buffer_size()}
        return len(self._unread) >= MOST_UNREAD

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [one for one in self.open if one.deadline < now]:
            connection.expire()
        # A connection that is to close waits for a client that does not read the rest.
        for connection in [one for one in self.open if one.transport.is_closing()]:
            connection.deadline = min(connection.deadline, now + LINGER_SECONDS)
        if self._most_open > MANY and len(self.open) < self._most_open // 8:
            self._most_open = len(self.open)
            release_memory()
        self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep) if self.open else None


def _eviction_order(connection: OpenConnection) -> tuple[bool, float]:
    """Sort connections that wait for their client before those that a response is due to, the most silent first."""
    return connection.is_answering, connection.last_seen
