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
from typing import TYPE_CHECKING

from saq.job import TERMINAL_STATUSES, Status
from saq.queue.base import logger
from saq.utils import now

from proxy.queues.base import PAUSE_POLL_SECONDS, JobQueue, is_same_run

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


class ServerQueue(JobQueue):
    """A queue on a server that other machines use as well."""

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

        A job is stuck if its last heartbeat is too old, or if it runs for longer than its timeout.
        """
        return [stored.job.id for stored in await self._unreachable() if await self._release(stored)]

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
                if await self._end(stored, changed):
                    self.aborted += 1
                    logger.info("Now aborted: %s", changed.info())
                    return
                await asyncio.sleep(BEGIN_SECONDS)  # a worker is about to store that it has begun
                continue
            changed.status = Status.ABORTING
            if await self._swap(stored, changed):
                return

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
    async def _unreachable(self) -> Iterable[Stored]:
        """Return the stuck jobs, and delete expired records; see `sweep`."""

    @abstractmethod
    async def _swap(self, stored: Stored, job: Job) -> bool:
        """Overwrite the stored job with `job`; return False if it has changed since it was read."""

    @abstractmethod
    async def _put_back(self, stored: Stored, job: Job) -> bool:
        """Do the same as `_swap` and put the job first in the queue, in one step."""

    @abstractmethod
    async def _end(self, stored: Stored, job: Job) -> bool:
        """Do the same as `_swap` for a waiting job that ends; return False also if a worker has just dequeued it."""
