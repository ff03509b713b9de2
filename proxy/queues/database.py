"""One SQLite file whose transactions run in a thread of their own, those that wait together sharing one commit.

Why not aiosqlite: there each statement is a trip to the thread, and the statements of two coroutines mix within one
transaction. Here a transaction's step is one function that runs whole. While one commit waits for the disk the next
steps gather, so thirty enqueues at once cost one or two fsyncs and not thirty, and an idle queue adds no delay.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BUSY_SECONDS = 30.0
"""How long a transaction waits for another process's; theirs take milliseconds."""

WATCH_SECONDS = 0.25
"""How often the file is asked whether another process changed it (one read of shared memory)."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

logger = logging.getLogger(__name__)


class _Step(Generic[T_co]):
    """One caller's part of a transaction, and how it came out."""

    def __init__(self, work: Callable[[sqlite3.Connection], T_co], *, writes: bool) -> None:
        self.writes = writes
        self.error: Exception | None = None
        self.future: asyncio.Future[T_co] = asyncio.get_running_loop().create_future()
        self._work = work

    def run(self, connection: sqlite3.Connection) -> None:
        self._result = self._work(connection)

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self._result)
        else:
            self.future.set_exception(self.error)


class Database:
    """An open SQLite file; `open` makes one.

    A step is a function of the connection. It may be run twice (alone, after a neighbour in its transaction failed),
    so all that it does must be in what it writes and returns.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread
        self._steps: list[_Step[object]] = []
        self._committing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self._closed = False

    @classmethod
    async def open(cls, path: Path, prepare: Callable[[sqlite3.Connection], None]) -> Database:
        """Open the file, made with its folder where missing; `prepare` runs in the first transaction.

        Raises:
            QueueUnavailable: it cannot be opened, is no database, or is one that `prepare` refuses.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="queue")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        database = cls(path, connection, thread)
        try:
            await database.write(prepare)
        except BaseException:
            await database.close()
            raise
        return database

    def read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run a step that only reads; it sees every write that was asked for before it."""
        return self._submit(_Step(work, writes=False))

    def write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run a step that may write; when the future is done, what it wrote is on the disk.

        Raises:
            QueueUnavailable: the file cannot be written; nothing of this step was.
        """
        return self._submit(_Step(work, writes=True))

    def next_change(self) -> asyncio.Event:
        """Give the event of the next change of any row, by this process at once, by another within `WATCH_SECONDS`."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        return self._change

    async def close(self) -> None:
        """Finish what was asked for, then let go of the file."""
        if self._watching is not None:
            self._watching.cancel()
        while self._committing is not None and not self._committing.done():
            await asyncio.wait([self._committing])
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def _submit(self, step: _Step[T]) -> asyncio.Future[T]:
        if self._closed:
            raise QueueUnavailable(f"The queue {self._path} is closed.")
        self._steps.append(step)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())
        return step.future

    async def _commit(self) -> None:
        while self._steps:
            batch, self._steps = self._steps, []
            changed = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, batch)
            for step in batch:
                step.settle()
            if changed:
                self._announce()
        self._committing = None

    def _run(self, batch: list[_Step[object]]) -> bool:
        before = self._connection.total_changes
        try:
            self._transact(batch)
        except Exception as error:  # noqa: BLE001 - whatever a step raises belongs to the caller who asked for it
            if len(batch) == 1:
                batch[0].error = explain(self._path, error) if isinstance(error, sqlite3.Error) else error
            else:
                for step in batch:
                    self._run([step])
        return self._connection.total_changes != before

    def _transact(self, batch: list[_Step[object]]) -> None:
        writes = any(step.writes for step in batch)
        self._connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            for step in batch:
                step.run(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have rolled it back already
                self._connection.execute("ROLLBACK")
            raise

    def _announce(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _watch(self) -> None:
        seen: int | None = None
        while True:
            try:
                version = await self.read(_data_version)
            except QueueUnavailable as trouble:
                logger.warning("Cannot look for changes of the queue: %s", trouble)
            else:
                if version != seen:
                    self._announce()
                seen = version
            await asyncio.sleep(WATCH_SECONDS)


def explain(path: Path, error: sqlite3.Error) -> QueueUnavailable:
    """Turn an error of SQLite into ours, with what a person can do about it."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the upper bits only refine the lower
    return QueueUnavailable(
        _SENTENCES.get(code, "The queue {path} does not work: {error}.").format(path=path, error=error)
    )


_CANNOT_OPEN = (
    "The queue {path} cannot be opened for writing ({error}): give the user of this service write access to the file "
    "and its folder, or set QUEUE to another place."
)
_SENTENCES = {
    sqlite3.SQLITE_FULL: "The disk that holds the queue {path} is full: free some space; accepted jobs are safe.",
    sqlite3.SQLITE_NOTADB: "{path} is not a queue: move that file away or set QUEUE to another one.",
    sqlite3.SQLITE_CORRUPT: "The queue {path} is damaged ({error}): move it, its -wal and its -shm file away.",
    sqlite3.SQLITE_BUSY: "The queue {path} is locked by another program: end what holds it open (a shell, a backup).",
    sqlite3.SQLITE_IOERR: "The queue {path} cannot be read or written ({error}): look at the disk and its free space.",
    sqlite3.SQLITE_CANTOPEN: _CANNOT_OPEN,
    sqlite3.SQLITE_READONLY: _CANNOT_OPEN,
    sqlite3.SQLITE_PERM: _CANNOT_OPEN,
}


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise explain(path, error) from error
    except OSError as error:
        raise QueueUnavailable(_CANNOT_OPEN.format(path=path, error=error.strerror)) from error
    try:
        _enter_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")  # every commit reaches the disk, not only every checkpoint
    except sqlite3.Error as error:
        connection.close()
        raise explain(path, error) from error
    return connection


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Turn on the write-ahead log; SQLite does not wait by itself when two processes do it to a new file at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _data_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version
