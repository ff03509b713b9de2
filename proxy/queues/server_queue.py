"""The base class of queues on servers: an atomic takeover of jobs whose worker went silent.

SAQ's own sweep first requests that a job's worker abort it, and waits for that, one job after the other. It may abort a
job that another worker is just starting. On PostgreSQL it depends on a lock that a lost machine may hold for hours.
Here one step compares each job with what was read and writes it back, so any machine may sweep at any time.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saq.job import Status
from saq.queue.base import logger
from saq.utils import now

from proxy.queues.base import JobQueue, is_same_run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from saq.job import Job


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
