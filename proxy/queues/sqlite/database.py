"""An SQLite file with its own thread for transactions; steps that wait at the same time share one commit.

Why not aiosqlite: there each statement is a round trip to the thread, and statements of two coroutines mix within one
transaction. Here a step of a transaction is one function, which runs as a whole. While one commit waits for the disk,
the next steps collect. Thirty concurrent enqueues therefore cost one or two fsyncs instead of thirty. An idle queue
adds no delay.

Why writers also hold a lock file: before version 3.51.3, SQLite may corrupt a file if one process commits while another
runs a checkpoint (sqlite.org/wal.html, "The WAL-Reset Bug"). SQLite's own lock does not cover the checkpoint.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from proxy.concurrency.file_locks import exclusive
from proxy.errors import QueueUnavailable
from proxy.queues.sqlite.errors import is_busy, translate
from proxy.stores.file.atomic import make_folder
from proxy.system.file_closes import FileCloses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

BUSY_SECONDS = 10.0
"""How long a transaction waits for those of other processes, which take milliseconds."""

WATCH_SECONDS = 0.5
"""The shortest time between two looks for changes by other processes."""

UNNOTICED_SECONDS = 30.0
"""The longest time between them, for commits by programs without our lock, such as a shell, and for file
systems that do not report what other systems do."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

log = structlog.get_logger(__name__)


class _Step(Generic[T_co]):
    """One caller's part of a transaction, with the future of its result."""

    def __init__(self, work: Callable[[sqlite3.Connection], T_co], *, writes: bool) -> None:
        self.writes = writes
        self.future: asyncio.Future[T_co] = asyncio.get_running_loop().create_future()
        self._work = work

    def run(self, connection: sqlite3.Connection) -> None:
        self._result = self._work(connection)

    def succeed(self) -> None:
        if not self.future.done():  # its caller may have been cancelled
            self.future.set_result(self._result)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Database:
    """An open SQLite file; use `Database.open` to create one.

    A step is a function of the connection. It may run a second time, on its own, if another step in its transaction
    failed. Its only effects must therefore be its writes and its return value.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread
        self._pending: list[_Step[object]] = []
        self._committing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self._closed = False
        self._file = _file(path)

    @classmethod
    async def open(cls, path: Path, prepare: Callable[[sqlite3.Connection], None]) -> Database:
        """Open the file, creating it and its folder if missing; `prepare` runs in the first transaction.

        Raises:
            QueueUnavailable: the file cannot be opened, is not a database, or is rejected by `prepare`.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="queue")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except (sqlite3.Error, OSError) as error:
            thread.shutdown(wait=False)
            raise translate(path, error) from error
        database = cls(path, connection, thread)
        try:
            await database.write(prepare)
        except BaseException:
            await database.close()
            raise
        return database

    def read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run a read-only step; it sees every write submitted before it."""
        return self._submit(_Step(work, writes=False))

    def write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run a step that may write; once the future is done, its writes are on disk.

        Raises:
            QueueUnavailable: the file cannot be written; nothing of this step was written.
        """
        return self._submit(_Step(work, writes=True))

    def next_change(self) -> asyncio.Event:
        """Return the event that is set at the next change of any row.

        Changes by this process set it at once, changes by other processes within about `WATCH_SECONDS`.
        """
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        return self._change

    async def close(self) -> None:
        """Finish all submitted steps, then close the file."""
        if self._watching is not None:
            self._watching.cancel()
        while self._committing is not None and not self._committing.done():
            await asyncio.wait([self._committing])
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def announce(self) -> None:
        """Wake whatever waits for the next change."""
        self._change.set()
        self._change = asyncio.Event()

    def _submit(self, step: _Step[T]) -> asyncio.Future[T]:
        if self._closed:
            raise QueueUnavailable(f"The queue {self._path} is closed.")
        self._pending.append(step)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())
        return step.future

    async def _commit(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            await self._settle(batch)
        self._committing = None

    async def _settle(self, batch: list[_Step[object]]) -> None:
        """Run the steps in one transaction; if one of them fails, run each in a transaction of its own."""
        try:
            changed = await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, batch)
        except Exception as error:  # noqa: BLE001 - any error of a step is raised to the caller that submitted it
            if len(batch) > 1 and not is_busy(error):  # a locked file is waited for once, not once per step
                for step in batch:
                    await self._settle([step])
            else:
                for step in batch:
                    step.fail(translate(self._path, error) if isinstance(error, sqlite3.Error | OSError) else error)
        else:
            for step in batch:
                step.succeed()
            if changed:
                self.announce()

    def _transact(self, batch: list[_Step[object]]) -> bool:
        """Run the steps in one transaction, and return whether any row changed."""
        before = self._connection.total_changes
        if any(step.writes for step in batch):
            with _write_lock(self._path):
                self._check_file()
                self._execute("BEGIN IMMEDIATE", batch)
        else:
            self._execute("BEGIN", batch)
        return self._connection.total_changes != before

    def _check_file(self) -> None:
        """Raise if the file was deleted or replaced: writes to it would be lost, and SQLite does not notice."""
        if _file(self._path) != self._file:
            raise QueueUnavailable(
                f"The queue {self._path} was deleted or moved while it was open: restore it, or restart the "
                "service, which creates a new one."
            )

    def _execute(self, begin: str, batch: list[_Step[object]]) -> None:
        self._connection.execute(begin)
        try:
            for step in batch:
                step.run(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite may have rolled back already, on a full disk for example
                self._connection.execute("ROLLBACK")
            raise

    def _disconnect(self) -> None:
        with exclusive(_lock(self._path), seconds=BUSY_SECONDS):  # the last connection to close runs a checkpoint
            self._connection.close()

    async def _watch(self) -> None:
        """Announce changes by other processes: each closes the lock file once its commit can be seen.

        Writes to the write-ahead log are reported before that, and perhaps seconds before.
        """
        seen: int | None = None
        with _commits_of(self._path) as next_commit:
            while True:
                try:
                    version = await self.read(_data_version)
                except QueueUnavailable as trouble:
                    log.warning("queue_watch_failed", detail=str(trouble))
                else:
                    if version != seen:
                        self.announce()
                    seen = version
                await asyncio.sleep(WATCH_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(UNNOTICED_SECONDS):
                        await next_commit()


@contextmanager
def _commits_of(path: Path) -> Iterator[Callable[[], Awaitable[None]]]:
    """Yield a function that waits for the next commit of any process; where Linux reports none, it does not wait."""
    try:
        closes = FileCloses(_lock(path))
    except OSError as fault:
        log.warning("queue_is_polled", detail=f"no commit to {path} can be noticed: {fault.strerror or fault}")
        yield _at_once
        return
    try:
        yield closes.next
    finally:
        closes.close()


async def _at_once() -> None:
    pass


def _connect(path: Path) -> sqlite3.Connection:
    make_folder(path.parent)
    with _write_lock(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        # SQLite does not verify that a text is UTF-8; Python's module would raise for all rows of that read.
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # fsync at every commit, not only at every checkpoint
        except sqlite3.Error:
            connection.close()
            raise
    return connection


@contextmanager
def _write_lock(path: Path) -> Iterator[None]:
    with exclusive(_lock(path), seconds=BUSY_SECONDS) as ours:
        if not ours:
            raise TimeoutError
        yield


def _file(path: Path) -> tuple[int, int] | None:
    """Return the device and inode numbers of the file at `path`; None if it does not exist."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _lock(path: Path) -> Path:
    return path.with_name(f"{path.name}-lock")


def _data_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version
