"""What our worker asks of a queue beyond what SAQ's own asks."""

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
"""A job whose worker was silent for so long is another's, unless the job itself says how long."""


WRITE_SECONDS = 1.0
"""How often looking whether a queue can be written writes to it, at most."""

TRIED_BYTES = 4096
"""How much is written: about as much as a job."""

CONCURRENCY = "concurrency"
"""Where a worker's report says how many jobs it works at once."""

CHECKER, CHECKER_SECONDS = "readiness", 60
"""The name under which it is written, and how long it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSnapshot:
    """The jobs of a queue that wait or run, and what its workers say of themselves."""

    keys: AbstractSet[str]
    new: Mapping[str, Mapping[str, object]]
    """What those of them that whoever asked did not know were enqueued with, by their keys."""
    waiting: int
    oldest: float | None
    """When the one that waits for longest was enqueued (epoch seconds)."""
    workers: Mapping[str, WorkerInfo]


class JobQueue(Queue):
    """A queue of SAQ whose workers can show that they live, and have to."""

    is_shared = True
    """Whether other machines may put jobs in, and take them."""

    _wrote = -math.inf
    """When it was last shown that the queue can be written."""

    @abstractmethod
    async def touch(self, job: Job) -> bool:
        """Show that the worker of `job` lives; False when the job is not its any more, but ended or another's.

        SAQ's `Job.update` shows it too, but writes the job as its worker last saw it over what became of it since.
        """

    async def check(self) -> None:
        """Return when the queue would take a job; to read it says nothing of a disk that is full.

        Raises:
            QueueUnavailable: it would not.
        """
        await self.count("queued")
        if time.monotonic() - self._wrote < WRITE_SECONDS:
            return
        # SAQ keeps workers' reports on every queue, and forgets them; one that did nothing counts nowhere.
        nobody: WorkerInfo = {"stats": None, "queue_key": self.name, "metadata": {"tries": " " * TRIED_BYTES}}
        await self.write_worker_info(CHECKER, nobody, CHECKER_SECONDS)
        self._wrote = time.monotonic()

    async def count_waiting(self) -> int:
        """Count the jobs that wait, those that were put off too."""
        incomplete, active = await asyncio.gather(self.count("incomplete"), self.count("active"))
        return incomplete - active

    async def snapshot(self, known: AbstractSet[str], *, limit: int) -> QueueSnapshot:
        """Look at the jobs that wait or run, of which whoever asks knows some.

        `limit`: of so many at most; SAQ's queue on PostgreSQL tells all.
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
    """Tell whether a queue's job is still in that very run of it that a worker holds."""
    return stored.status in (Status.ACTIVE, Status.ABORTING) and (stored.worker_id, stored.attempts) == (
        job.worker_id,
        job.attempts,
    )
