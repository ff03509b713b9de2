"""The three queues, each of which can stall: its server or its disk does not respond for a while."""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QueueKind = Literal["sqlite", "redis", "postgres"]


class MortalQueue(Protocol):
    """A queue that can stall."""

    @property
    def address(self) -> str:
        """The value of QUEUE."""

    def stall(self) -> None:
        """Let nothing be written, until `resume`."""

    def resume(self) -> None:
        """Let everything be written again."""


@dataclass
class FileQueue:
    """The SQLite file, of which another program holds the lock during a stall."""

    file: Path
    _held: int | None = None

    @property
    def address(self) -> str:
        """The value of QUEUE."""
        return f"sqlite:////{str(self.file).lstrip('/')}"

    def stall(self) -> None:
        if self._held is None:
            self._held = os.open(self.file.with_name(f"{self.file.name}-lock"), os.O_RDWR | os.O_CREAT, 0o600)
            with suppress(BlockingIOError):  # else it is stalled already, by a process that is stopped
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def resume(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


@dataclass
class ServerOfQueue:
    """A database of a server that is stopped during a stall."""

    server: servers.RedisServer | servers.PostgresServer
    address: str

    def stall(self) -> None:
        self.server.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.server.signal(signal.SIGCONT)


@contextmanager
def running_queue(kind: QueueKind, folder: Path) -> Iterator[MortalQueue]:
    """Yield an empty queue of its own."""
    if kind == "sqlite":
        queue = FileQueue(folder / "queue.db")
        try:
            yield queue
        finally:
            queue.resume()
        return
    with servers.running_redis() if kind == "redis" else servers.running_postgres() as server:
        one = ServerOfQueue(server, server.make_database())
        try:
            yield one
        finally:
            one.resume()
