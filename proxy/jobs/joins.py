"""Whether a post may still join a running job: the post announces an original, and the job has to see that one.

The last look of a worker at its original is over before its job has ended. A post that joined the job in between would
be answered with derivatives of the original before. So each side writes first, and then reads what the other wrote: the
post its mark and then the job, the worker the job and then the mark. At least one of them sees the other. A post then
creates a job of its own, or the worker looks once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from saq.job import Status

if TYPE_CHECKING:
    from saq import Job

    from proxy.queues.base import JobQueue

CLOSED: Final = "closed"
"""The name in a job's `meta` that holds when the run began that takes no more posts.

Not the number of its attempt: an attempt that does not count leaves its number to the next one.
"""

MARK_SECONDS: Final = 86_400.0
"""How long a mark is stored: longer than any attempt."""


async def join(queue: JobQueue, job: Job) -> bool:
    """Join a live job as it was stored a moment ago; return False if it may end without another look at its original.

    Raises:
        QueueUnavailable: the queue cannot be read or written.
    """
    if job.status == Status.QUEUED:  # it begins later than the post
        return True
    await queue.remember(_mark(job.key), job.key, seconds=MARK_SECONDS)
    now = await queue.job(job.key)
    return now is not None and not now.completed and now.meta.get(CLOSED) != now.started


async def close(queue: JobQueue, job: Job) -> bool:
    """Refuse further posts to join a worker's job in this attempt. Return whether one joined it before.

    Raises:
        LeaseLost: the job now belongs to another worker.
        QueueUnavailable: the queue cannot be read or written.
    """
    job.meta[CLOSED] = job.started
    await queue.update(job)
    return await queue.recall(_mark(job.key)) is not None and await queue.forget(_mark(job.key))


def _mark(job_id: str) -> str:
    return f"joined:{job_id}"
