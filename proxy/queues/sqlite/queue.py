"""SAQ's queue on one SQLite file, for the processes of one machine.

It behaves like SAQ's Redis and PostgreSQL queues wherever those two agree. In addition:

- When `enqueue` returns, the job is on disk (WAL, `synchronous=FULL`).
- The next `connect` or `sweep` of any process takes over the jobs of a dead process, before their heartbeat times out.
- Jobs are ordered by `scheduled`, else by enqueue time. `priority` and `group_key` have no effect, as with Redis.
- Jobs are JSON. The file must be on a local disk: neither WAL nor flock is reliable over a network.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from saq.job import Job, Status
from saq.queue.base import logger
from saq.utils import now

from proxy.concurrency.file_locks import exclusive
from proxy.queues.circuit_breaker import OutageGuard
from proxy.queues.runs import LeaseLost, adopt_end
from proxy.queues.sqlite import facts, schema, statements
from proxy.queues.sqlite.database import Database
from proxy.queues.sqlite.errors import translate
from proxy.queues.sqlite.reads import SqliteReads
from proxy.queues.sqlite.transitions import Dequeued, SetAside, Transitions
from proxy.system import lockfiles

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from saq.types import WorkerInfo

RECHECK_SECONDS = 60.0
"""The longest wait before scheduled jobs are checked again, in case the system clock is changed."""


DEQUEUE_SECONDS = 5.0
"""How long a worker waits for a job at a time; `interrupt` ends the wait, and a change of the file ends it sooner."""

STEP_SECONDS = 1.0
"""By how much the clock must have been set back to matter; small corrections are made by its rate."""

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that cannot be set, and that counts the time of a suspended machine where the system has such a clock."""


class SqliteQueue(SqliteReads):
    """A queue in the SQLite file at `path`.

    Next to it are SQLite's `-wal` and `-shm`, our `-lock`, and the folder `.owners` with a lock file for each process.
    """

    dequeue_seconds = DEQUEUE_SECONDS

    def __init__(self, path: Path, *, name: str = "default") -> None:
        super().__init__(path, name=name)
        self._interrupts = 0
        self._owners = self._path.with_name(f"{self._path.name}.owners")
        self._outage_guard = OutageGuard()
        self._owner: lockfiles.ProcessLock | None = None
        self._clock_offset = math.inf
        """The clock less the steady one, when it was last compared; infinity makes the first comparison a step back."""

    def __repr__(self) -> str:
        return f"SqliteQueue<path={self._path}, name={self.name!r}>"

    async def connect(self) -> None:
        """Open the file, and take over the jobs of dead processes.

        Raises:
            QueueUnavailable: the file or its folder cannot be used; the message contains the remedy.
        """
        if self._opened is not None:
            return
        database = await Database.open(self._path, schema.prepare)
        try:
            owner = await asyncio.to_thread(lockfiles.acquire_process_lock, self._owners)
        except OSError as error:
            await database.close()
            raise translate(self._path, error) from error
        self._opened, self._owner = (database, Transitions(self, owner.name, self._owners)), owner
        await super().connect()
        await self._take_over()
        if self._checks:  # without them, every job would count as readable
            for key in await database.write(self._transitions.take_back):
                self.report_taken_back(key)

    async def disconnect(self) -> None:
        """Close the file; the next sweep of another process takes over jobs that are still active here."""
        if self._opened is None or self._owner is None:
            return
        (database, _), self._opened = self._opened, None
        await database.close()
        self._owner.release()

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ARG002, ASYNC109 - SAQ's signature
        """Return the next job; None if none arrives within `timeout` seconds (0: wait forever)."""
        deadline = time.monotonic() + timeout if timeout > 0 else math.inf
        interrupts = self._interrupts
        async with self._outage_guard.pausing():
            while True:
                change = self._database.next_change()
                taken = await self._take()
                left = deadline - time.monotonic()
                if taken.job is not None or left <= 0 or self._interrupts != interrupts:
                    return taken.job
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, taken.next_scheduled - time.time(), RECHECK_SECONDS)):
                        await change.wait()

    async def enqueue_within(self, size: int, job: Job) -> Job | None:
        """Enqueue a job, unless `size` jobs wait; see `JobQueue.enqueue_within`."""
        job.queue, job.queued, job.status = self, now(), Status.QUEUED
        await self._before_enqueue(job)
        return job if await self._database.write(self._transitions.enqueue(job, size=size)) else None

    def interrupt(self) -> None:
        """End the waits for jobs that have begun; see `JobQueue.interrupt`."""
        self._interrupts += 1
        if self._opened is not None:
            self._database.announce()

    async def touch(self, job: Job) -> bool:
        """Send a heartbeat for `job`; see `JobQueue.touch`."""
        return await self._database.write(self._transitions.touch(job))

    async def abort(self, job: Job, error: str, ttl: float = 5) -> None:  # noqa: ARG002 - SAQ's signature
        """Abort a waiting job, or request that the worker of a running job abort it; ignore an ended job."""
        stored = await self._database.write(self._transitions.abort(job, error))
        if stored is not None:
            job.replace(stored)
            self._tally(job)

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:  # noqa: ARG002 - SAQ's signature
        """Delete expired records, requeue or abort stuck jobs and those of dead processes, and return their keys.

        `abort` is how long to wait for the worker of a stuck job to abort it, in seconds. Waits that began in the
        future are shortened: another process began them, before the clock was set back.
        """
        at = time.time()

        def tidy(connection: sqlite3.Connection) -> None:
            statements.prune(connection, at)
            statements.shorten_waits(connection, at)

        await self._database.write(tidy)
        swept = await self._take_over()
        with exclusive(self._owners / ".sweep") as ours:
            stuck = await self._silent() if ours else []
            await asyncio.gather(*(self._release_stuck(job, abort) for job in stuck))
        return swept + [job.key for job in stuck]

    async def clock(self) -> float:
        """Return the time of this machine; see `JobQueue.clock`."""
        return time.time()

    async def remember(self, name: str, value: str, *, seconds: float | None = None) -> str:
        """Store a value under a name; see `JobQueue.remember`."""
        expires = None if seconds is None else time.time() + seconds
        return await self._database.write(
            lambda connection: facts.remember(connection, self.name, name, value, expires=expires)
        )

    async def overwrite(self, name: str, value: str, *, seconds: float) -> None:
        """Store a value under a name, whatever is stored there; see `JobQueue.overwrite`."""
        expires = time.time() + seconds
        await self._database.write(
            lambda connection: facts.overwrite(connection, self.name, name, value, expires=expires)
        )

    async def recall(self, name: str) -> str | None:
        """Return the value under a name; see `JobQueue.recall`."""
        return await self._database.read(lambda connection: facts.recall(connection, self.name, name))

    async def write_worker_info(self, worker_id: str, info: WorkerInfo, ttl: int) -> None:
        """Store a worker's report for `ttl` seconds."""
        report = statements.WorkerReport(self.name, worker_id, json.dumps(info), time.time() + ttl)
        await self._database.write(lambda connection: statements.keep_report(connection, report))

    async def forget(self, name: str, *, value: str | None = None) -> bool:
        """Remove the value under a name; see `JobQueue.forget`."""
        return await self._database.write(lambda connection: facts.forget(connection, self.name, name, value=value))

    async def _enqueue(self, job: Job) -> Job | None:
        return job if await self._database.write(self._transitions.enqueue(job)) else None

    async def _update(self, job: Job, status: Status | None = None, **kwargs: Any) -> None:  # noqa: ARG002 - SAQ's signature
        if not await self._database.write(self._transitions.update(job, status)):
            raise LeaseLost

    async def _retry(self, job: Job, error: str | None) -> None:  # noqa: ARG002 - SAQ's signature; the job already contains it
        if not await self._database.write(self._transitions.retry(job)):
            raise LeaseLost

    async def _finish(self, job: Job, status: Status, *, result: object = None, error: str | None = None) -> None:  # noqa: ARG002 - SAQ's signature; the job already contains them
        ended = await self._database.write(self._transitions.finish(job))
        if ended is None:
            raise LeaseLost
        adopt_end(job, ended)

    async def _follow_clock(self) -> None:
        """If the clock was set back, shorten the waits that end by it."""
        at = time.time()
        offset, before = at - time.clock_gettime(_STEADY), self._clock_offset
        if before - offset > STEP_SECONDS:
            await self._database.write(lambda connection: statements.shorten_waits(connection, at))
        self._clock_offset = offset

    async def _take(self) -> Dequeued:
        await self._follow_clock()
        taking = self._database.write(self._transitions.take)
        try:
            taken = await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(self._put_back)  # a commit cannot be interrupted, only undone afterwards
            raise
        self._report(taken.set_aside)
        return taken

    def _report(self, unreadable: Iterable[SetAside]) -> None:
        for one in unreadable:
            self.report_set_aside(one.key, one.reason)

    def _put_back(self, taking: asyncio.Future[Dequeued]) -> None:
        if taking.cancelled() or taking.exception() is not None:
            return
        self._report(taking.result().set_aside)
        job, row = taking.result().job, taking.result().row
        if job is not None and row is not None:
            self._database.write(self._transitions.put_back(job, row))

    async def _take_over(self) -> list[str]:
        released, unreadable = await self._database.write(self._transitions.take_over)
        self._report(unreadable)
        await asyncio.to_thread(lockfiles.remove_stale, self._owners)
        for job in released:
            self._tally(job)
        return [job.key for job in released]

    async def _silent(self) -> list[Job]:
        active = await self._database.read(lambda connection: statements.active(connection, self.name))
        held = {row.key: self._transitions.readable(row) or row.body for row in active}
        silent = self.heartbeats.silent(held)
        # One that cannot be read here may be run by a newer version: its process lives, or it would be set aside.
        return [job for key, job in held.items() if key in silent and isinstance(job, Job)]

    async def _release_stuck(self, job: Job, seconds: float) -> None:
        asked = job.status == Status.ABORTING and job.error
        await self.abort(job, asked or self.swept_error_message)
        if seconds > 0:
            with suppress(TimeoutError):
                await self.listen([job.key], lambda _, status: status != Status.ABORTING, timeout=seconds)
        released = await self._database.write(self._transitions.release_stuck(job))
        if released is not None:
            self._tally(released)

    def _tally(self, job: Job) -> None:
        """Count and log a job that was retried or aborted without SAQ's `retry` or `finish`, which do so as well."""
        if job.status == Status.ABORTED:
            self.aborted += 1
        elif job.status == Status.QUEUED:
            self.retried += 1
        logger.info("Now %s: %s", job.status.value, job.info())
