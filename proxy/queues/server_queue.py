"""The base class of queues on servers: an atomic takeover of jobs whose worker went silent.

SAQ's own sweep first requests that a job's worker abort it, and waits for that, one job after the other. It may abort a
job that another worker is just starting. On PostgreSQL it depends on a lock that a lost machine may hold for hours.
Here one step compares each job with what was read and writes it back, so any machine may sweep at any time.
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saq.job import TERMINAL_STATUSES, Status
from saq.queue.base import logger
from saq.utils import now

from proxy.queues.base import PAUSE_POLL_SECONDS, JobQueue, retry_delay
from proxy.queues.readable import UnreadableJob
from proxy.queues.runs import LeaseLost, adopt_end, as_stored, is_same_run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from saq.job import Job

BEGIN_SECONDS = 0.05
"""How long to wait for a worker that has dequeued a job to store that it runs; that takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A job on the server: decoded, and as the exact bytes stored."""

    job: Job
    body: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """A job on the server that cannot be read: its key, the exact bytes stored, and the reason."""

    key: str
    body: bytes
    reason: str


class ServerQueue(JobQueue):
    """A queue on a server that other machines use as well."""

    async def connect(self) -> None:
        """Connect, and queue the jobs again that were set aside and can be read by now."""
        await super().connect()
        if not self._checks:  # without them, every job would count as readable
            return
        for key, body in await self._kept_aside():
            if isinstance(kept := self.examine(body, key=key), Stored):
                kept.job.status, kept.job.worker_id = Status.QUEUED, None
                if await self._take_back(kept):
                    self.report_taken_back(key)

    def examine(self, body: bytes, *, key: str, status: str | None = None) -> Stored | Broken:
        """Return a job as it is stored under `key`, or why it cannot be read."""
        try:
            return Stored(self.read(body, status=status, key=key), body)
        except UnreadableJob as fault:
            return Broken(key, body, str(fault))

    async def touch(self, job: Job) -> bool:
        """Send a heartbeat for `job`; see `JobQueue.touch`."""
        # If the swap fails, the job was written meanwhile, perhaps by this worker itself: read it again to find out.
        while (stored := await self._stored(job.key)) and is_same_run(stored.job, job):
            touched = self.copy(stored.job)
            job.touched = touched.touched = now()
            if await self._swap(stored, touched):
                return True
        return False

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:  # noqa: ARG002 - SAQ's signature
        """Delete expired records, requeue or abort stuck jobs, and return the ids of those.

        A job is stuck if its last heartbeat is too old, or if it runs for longer than its timeout. One that cannot be
        read is set aside: a worker of a newer version that runs it would change it by its heartbeats.
        """
        held = {one.job.key if isinstance(one, Stored) else one.key: one for one in await self._held()}
        silent = self.heartbeats.silent(
            {key: one.job if isinstance(one, Stored) else one.body for key, one in held.items()}
        )
        left = [one for key, one in held.items() if key in silent or self._is_left(one)]
        for one in left:
            if isinstance(one, Broken):
                await self.set_aside(one)
        return [one.job.id for one in left if isinstance(one, Stored) and await self._release(one)]

    def _is_left(self, _held: Stored | Broken) -> bool:
        """Return whether a job was taken, but will not be started; the default is that none is."""
        return False

    async def set_aside(self, broken: Broken) -> None:
        """Move a job that cannot be read out of the queue, and log it, unless it has changed since it was read."""
        if await self._move_aside(broken):
            self.report_set_aside(broken.key, broken.reason)

    async def abort(self, job: Job, error: str, ttl: float = 5) -> None:  # noqa: ARG002 - SAQ's signature
        """Abort a waiting job, or request that the worker of a running job abort it; ignore an ended job.

        SAQ's own version writes back the caller's copy of the job, whatever has happened to it since.
        """
        while (stored := await self._stored(job.key)) and stored.job.queued == job.queued:
            changed = self.copy(stored.job)
            changed.error = error
            if changed.status in TERMINAL_STATUSES or (changed.status, stored.job.error) == (Status.ABORTING, error):
                return
            if changed.status in (Status.NEW, Status.QUEUED):
                changed.status, changed.completed = Status.ABORTED, now()
                if await self._end(stored, changed, is_held=False):
                    self.aborted += 1
                    logger.info("Now aborted: %s", changed.info())
                    return
                await asyncio.sleep(BEGIN_SECONDS)  # a worker is about to store that it has begun
                continue
            changed.status = Status.ABORTING
            if await self._swap(stored, changed):
                return

    async def _update(self, job: Job, status: Status | None = None, **kwargs: Any) -> None:  # noqa: ARG002 - SAQ's signature
        while (stored := await self._stored(job.key)) and is_same_run(stored.job, job):
            if await self._swap(stored, as_stored(job, stored.job, status)):
                return await self.notify(job)
        raise LeaseLost

    async def _retry(self, job: Job, error: str | None) -> None:  # noqa: ARG002 - SAQ's signature; the job already contains it
        delay = retry_delay(job)
        due = await self.clock() + delay if delay else 0.0
        job.scheduled = int(due)  # shown to readers
        while (stored := await self._stored(job.key)) and is_same_run(stored.job, job):
            if await self._put_off(stored, job, due):
                return await self.notify(job)
        raise LeaseLost

    async def _finish(self, job: Job, status: Status, **kwargs: Any) -> None:  # noqa: ARG002 - SAQ's signature; the job already contains them
        while (stored := await self._stored(job.key)) and is_same_run(stored.job, job, or_ended=True):
            if stored.job.status in TERMINAL_STATUSES:
                adopt_end(job, stored.job)
                return
            if await self._end(stored, job, is_held=True):
                return
        raise LeaseLost

    async def _wait_for_resume(self, seconds: float) -> bool:
        """Wait while the queue is paused, for `seconds` at most (0: forever); return False if it still is."""
        deadline = time.monotonic() + seconds if seconds > 0 else math.inf
        while await self.paused_since() is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await asyncio.sleep(min(left, PAUSE_POLL_SECONDS))
        return True

    async def _release(self, stored: Stored) -> bool:
        released = self.copy(stored.job)
        if released.status == Status.ABORTING or not released.retryable:
            released.status, released.touched = Status.ABORTING, now()
            error = stored.job.error if stored.job.status == Status.ABORTING else self.swept_error_message
            if not await self._swap(stored, released):
                return False
            await self.finish(released, Status.ABORTED, error=error)
            return True
        released.status, released.error, released.touched = Status.QUEUED, self.swept_error_message, now()
        released.started = released.completed = 0
        released.progress = 0.0
        if not await self._put_back(stored, released):
            return False
        self.retried += 1
        logger.info("Now queued again: %s", released.info())
        return True

    @abstractmethod
    async def _stored(self, key: str) -> Stored | None:
        """Return the job under `key`; None if it does not exist."""

    @abstractmethod
    async def _held(self) -> Iterable[Stored | Broken]:
        """Return the jobs that workers hold, and delete expired records; see `sweep`."""

    @abstractmethod
    async def _move_aside(self, broken: Broken) -> bool:
        """Move a job out of the queue, with its bytes; return False if it has changed since it was read."""

    @abstractmethod
    async def _kept_aside(self) -> Iterable[tuple[str, bytes]]:
        """Return the keys and the bytes of the jobs that were set aside."""

    @abstractmethod
    async def _take_back(self, kept: Stored) -> bool:
        """Queue a job again that was set aside; return False if its key is in use, or if it is no longer there."""

    @abstractmethod
    async def _swap(self, stored: Stored, job: Job) -> bool:
        """Overwrite the stored job with `job`; return False if it has changed since it was read."""

    @abstractmethod
    async def _put_back(self, stored: Stored, job: Job) -> bool:
        """Do the same as `_swap` and put the job first in the queue, in one step."""

    @abstractmethod
    async def _put_off(self, stored: Stored, job: Job, due: float) -> bool:
        """Do the same as `_swap` for a job that a worker holds, and queue it: at `due`, or last if that is 0."""

    @abstractmethod
    async def _end(self, stored: Stored, job: Job, *, is_held: bool) -> bool:
        """Do the same as `_swap` for a job that ends; unless `is_held`, fail also if a worker has just dequeued it."""
