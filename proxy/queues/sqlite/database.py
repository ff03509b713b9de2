"""One SQLite file whose transactions run in a thread of their own, those that wait together sharing one commit.

Why not aiosqlite: there each statement is a trip to the thread, and the statements of two coroutines mix within one
transaction. Here a transaction's step is one function that runs whole. While one commit waits for the disk the next
steps gather, so thirty enqueues at once cost one or two fsyncs and not thirty, and an idle queue adds no delay.

Why writers also take turns at a lock of their own: until 3.51.3 SQLite may damage a file when one process commits
while another copies the log into it (sqlite.org/wal.html, "The WAL-Reset Bug"), and it copies outside its own lock.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from proxy.errors import QueueUnavailable
from proxy.queues.sqlite.errors import is_busy, translate
from proxy.system.lockfiles import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUSY_SECONDS = 10.0
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
    """An open SQLite file; `open` makes one.

    A step is a function of the connection. It may be run twice (alone, after a neighbour in its transaction failed),
    so all that it does must be in what it writes and returns.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread
        self._transitions: list[_Step[object]] = []
        self._committing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self._closed = False
        self._file = _file(path)

    @classmethod
    async def open(cls, path: Path, prepare: Callable[[sqlite3.Connection], None]) -> Database:
        """Open the file, made with its folder where missing; `prepare` runs in the first transaction.

        Raises:
            QueueUnavailable: it cannot be opened, is no database, or is one that `prepare` refuses.
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
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _submit(self, step: _Step[T]) -> asyncio.Future[T]:
        if self._closed:
            raise QueueUnavailable(f"The queue {self._path} is closed.")
        self._transitions.append(step)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())
        return step.future

    async def _commit(self) -> None:
        while self._transitions:
            batch, self._transitions = self._transitions, []
            await self._settle(batch)
        self._committing = None

    async def _settle(self, batch: list[_Step[object]]) -> None:
        """Run the steps in one transaction; when that fails for one of them, each in its own."""
        try:
            changed = await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, batch)
        except Exception as error:  # noqa: BLE001 - whatever a step raises belongs to the caller who asked for it
            if len(batch) > 1 and not is_busy(error):  # to wait once for all of them is enough
                for step in batch:
                    await self._settle([step])
            else:
                for step in batch:
                    step.fail(translate(self._path, error) if isinstance(error, sqlite3.Error | OSError) else error)
        else:
            for step in batch:
                step.succeed()
            if changed:
                self._announce()

    def _transact(self, batch: list[_Step[object]]) -> bool:
        """Tell whether any row was changed."""
        before = self._connection.total_changes
        if any(step.writes for step in batch):
            with _write_lock(self._path):
                self._check_file()
                self._execute("BEGIN IMMEDIATE", batch)
        else:
            self._execute("BEGIN", batch)
        return self._connection.total_changes != before

    def _check_file(self) -> None:
        """Accept nothing into a file that nobody will find again; SQLite itself does not notice."""
        if _file(self._path) != self._file:
            raise QueueUnavailable(
                f"The queue {self._path} was deleted or moved away while it was open: put it back, or restart the "
                "service, which begins a new one."
            )

    def _execute(self, begin: str, batch: list[_Step[object]]) -> None:
        self._connection.execute(begin)
        try:
            for step in batch:
                step.run(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have rolled it back already
                self._connection.execute("ROLLBACK")
            raise

    def _disconnect(self) -> None:
        with exclusive(_lock(self._path), seconds=BUSY_SECONDS):  # the last one copies the log into the file
            self._connection.close()

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


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _write_lock(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # every commit reaches the disk, not only every checkpoint
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
    """Tell which file has that name now."""
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
