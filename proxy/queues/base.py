"""What our worker asks of a queue beyond what SAQ's own asks."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from saq.job import Status
from saq.queue.base import Queue

if TYPE_CHECKING:
    from saq.job import Job


HEARTBEAT_SECONDS = 20
"""A job whose worker was silent for so long is another's, unless the job itself says how long."""


class JobQueue(Queue):
    """A queue of SAQ whose workers can show that they live, and have to."""

    is_shared = True
    """Whether other machines may put jobs in, and take them."""

    @abstractmethod
    async def touch(self, job: Job) -> bool:
        """Show that the worker of `job` lives; False when the job is not its any more, but ended or another's.

        SAQ's `Job.update` shows it too, but writes the job as its worker last saw it over what became of it since.
        """

    async def _before_enqueue(self, job: Job) -> None:
        job.heartbeat = job.heartbeat or HEARTBEAT_SECONDS
        await super()._before_enqueue(job)


def is_same_run(stored: Job, job: Job) -> bool:
    """Tell whether a queue's job is still in that very run of it that a worker holds."""
    return stored.status in (Status.ACTIVE, Status.ABORTING) and (stored.worker_id, stored.attempts) == (
        job.worker_id,
        job.attempts,
    )
