"""The base class of all queues, which extends SAQ's `Queue` with what our workers need."""

from __future__ import annotations

import asyncio
import math
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saq.job import Status
from saq.queue.base import Queue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from saq.job import Job
    from saq.types import WorkerInfo


HEARTBEAT_SECONDS = 20
"""How long a job may run without a heartbeat before another worker takes it over; a job may set its own limit."""


WRITE_SECONDS = 1.0
"""The minimum interval between test writes by `JobQueue.check`."""

TRIED_BYTES = 4096
"""The size of a test write: about the size of a job."""

CONCURRENCY = "concurrency"
"""The key in a worker report's metadata that holds how many jobs the worker runs concurrently."""

CHECKER, CHECKER_SECONDS = "readiness", 60
"""The worker id of the test write, and its TTL in seconds."""

PAUSED = "paused"
"""The name under which a queue stores when it was paused, in seconds since the epoch."""

PAUSE_POLL_SECONDS = 0.5
"""How often a worker polls a paused queue, if the queue sends no notification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSnapshot:
    """The live jobs of a queue (waiting or running), and the reports of its workers."""

    keys: AbstractSet[str]
    new: Mapping[str, Mapping[str, object]]
    """Job key -> enqueued kwargs, for live jobs that the caller did not list as known."""
    waiting: int
    oldest: float | None
    """When the oldest waiting job was enqueued (epoch seconds); None if no job waits."""
    workers: Mapping[str, WorkerInfo]


class JobQueue(Queue):
    """A SAQ queue whose workers have to send heartbeats for their jobs."""

    is_shared = True
    """Whether other machines may enqueue and take jobs."""

    _wrote = -math.inf
    """When a test write last succeeded (monotonic seconds)."""

    @abstractmethod
    async def touch(self, job: Job) -> bool:
        """Send a heartbeat for `job`; return False if the job ended or now belongs to another worker.

        SAQ's `Job.update` also counts as a heartbeat. But it overwrites the stored job, and any change since, with the
        worker's own copy.
        """

    @abstractmethod
    async def remember(self, name: str, value: str, *, seconds: float | None = None) -> str:
        """Store a value under a name, unless one is stored there, and return the stored one.

        It is kept for `seconds`; None is for ever. Every process and machine with this queue can read it.
        """

    @abstractmethod
    async def recall(self, name: str) -> str | None:
        """Return the value that is stored under a name; None if there is none."""

    @abstractmethod
    async def forget(self, name: str) -> bool:
        """Remove the value that is stored under a name; return False if there is none."""

    async def pause(self) -> None:
        """Hand no more jobs to workers, on any machine, until `resume`; a paused queue stays as it is.

        Running jobs continue, and new jobs are accepted. The pause survives restarts of the service and the server.
        """
        await self.remember(PAUSED, f"{time.time():.3f}")

    async def resume(self) -> None:
        """End a pause, if there is one."""
        await self.forget(PAUSED)

    async def paused_since(self) -> float | None:
        """Return when the queue was paused, in seconds since the epoch; None if it is not paused."""
        since = await self.recall(PAUSED)
        return None if since is None else float(since)

    async def check(self) -> None:
        """Raise unless the queue can be written to; a read is not enough, because it succeeds on a full disk.

        Raises:
            QueueUnavailable: the queue cannot be read or written.
        """
        await self.count("queued")
        if time.monotonic() - self._wrote < WRITE_SECONDS:
            return
        # Every SAQ queue stores workers' reports, with a TTL. A report without stats does not count as a worker.
        nobody: WorkerInfo = {"stats": None, "queue_key": self.name, "metadata": {"tries": " " * TRIED_BYTES}}
        await self.write_worker_info(CHECKER, nobody, CHECKER_SECONDS)
        self._wrote = time.monotonic()

    async def count_waiting(self) -> int:
        """Return the number of waiting jobs, including those scheduled for a later retry."""
        incomplete, active = await asyncio.gather(self.count("incomplete"), self.count("active"))
        return incomplete - active

    async def snapshot(self, known: AbstractSet[str], *, limit: int) -> QueueSnapshot:
        """Return a snapshot of the live jobs, with kwargs only for jobs that are not in `known`.

        `limit` bounds the number of jobs. SAQ's queue on PostgreSQL ignores it and returns all.
        """
        told = await self.info(jobs=True, limit=limit)
        waiting = [job["queued"] for job in told["jobs"] if job.get("status") == Status.QUEUED]
        return QueueSnapshot(
            keys={job["key"] for job in told["jobs"]},
            new={job["key"]: job.get("kwargs") or {} for job in told["jobs"] if job["key"] not in known},
            waiting=len(waiting),
            oldest=min(waiting) / 1000 if waiting else None,
            workers=told["workers"],
        )

    async def _before_enqueue(self, job: Job) -> None:
        job.heartbeat = job.heartbeat or HEARTBEAT_SECONDS
        await super()._before_enqueue(job)


def is_same_run(stored: Job, job: Job) -> bool:
    """Return whether a stored job is still in the same run, by worker and attempt, as the worker's copy `job`."""
    return stored.status in (Status.ACTIVE, Status.ABORTING) and (stored.worker_id, stored.attempts) == (
        job.worker_id,
        job.attempts,
    )
