"""What the queues on servers share: jobs whose worker went silent are taken from it, whole or not at all.

SAQ's own sweep asks the worker first, waits for its word one job after the other, may end a job that another worker is
just beginning, and on PostgreSQL hangs on a lock that a lost machine may keep for hours. Here each job is compared with
what was read and written back in one step, so that any machine may sweep at any time.
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
    """A job as it lies on the server: read, and byte for byte."""

    job: Job
    body: bytes


class ServerQueue(JobQueue):
    """A queue on a server that other machines use too."""

    async def touch(self, job: Job) -> bool:
        """Show that the worker of `job` lives; see `JobQueue`."""
        # What cannot be written over was written to meanwhile, perhaps by that very worker: only a look tells.
        while (stored := await self._stored(job.key)) and is_same_run(stored.job, job):
            touched = self.copy(stored.job)
            job.touched = touched.touched = now()
            if await self._swap(stored, touched):
                return True
        return False

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:  # noqa: ARG002 - SAQ's
        """Forget what is past its time; end or put back the jobs whose worker is silent or over its time."""
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
        """Read a job."""

    @abstractmethod
    async def _unreachable(self) -> Iterable[Stored]:
        """Find the jobs whose worker is silent for longer than their heartbeat, or over their time."""

    @abstractmethod
    async def _swap(self, stored: Stored, job: Job) -> bool:
        """Write `job` over what was read; False when that is not there any more."""

    @abstractmethod
    async def _put_back(self, stored: Stored, job: Job) -> bool:
        """Do as `_swap`, and put the job at the head of the line, in one step."""
