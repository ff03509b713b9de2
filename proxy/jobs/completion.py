"""What follows the end of a job: the callback that was promised is owed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import UnknownJob
from proxy.jobs.schema import announcement
from proxy.webhooks.outbox import Callback

if TYPE_CHECKING:
    from proxy.jobs.service import JobService
    from proxy.webhooks.outbox import Outbox


class Completion:
    """Looks at jobs, and sees to what follows where one has ended."""

    def __init__(self, *, jobs: JobService, outbox: Outbox, public_base_url: str) -> None:
        self._jobs = jobs
        self._outbox = outbox
        self._public_base_url = public_base_url

    async def look(self, job_id: str) -> bool:
        """Tell whether a job has ended; if it has, its callback is owed when this returns."""
        try:
            job = await self._jobs.get(job_id)
        except UnknownJob:  # its order never entered the queue, or it ended longer ago than jobs are kept
            return True
        if job.finished_at is None or job.created_at is None:
            return False
        if job.callback_url:
            # A job that is run again has another callback, with the time of that order in its id.
            run = round(job.created_at.timestamp() * 1000)
            body = announcement(job, self._public_base_url)
            await self._outbox.enqueue_callback(Callback(id=f"{job.id}-{run}", url=job.callback_url, body=body))
        return True
