"""What operators do to jobs and to their queue: cancel, run many again, pause and resume."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from saq import Status

from proxy.errors import Busy, JobEnded
from proxy.jobs.completion import count_end
from proxy.jobs.job import CANCEL_REQUEST, CANCELLED, is_cancelled
from proxy.jobs.listing import JobPage, ListJobs, cursor_after
from proxy.jobs.live_jobs import is_live

if TYPE_CHECKING:
    from saq import Job as QueuedJob

    from proxy.jobs.job import Job
    from proxy.jobs.listing import JobFilter
    from proxy.jobs.service import JobService
    from proxy.queues.base import JobQueue

log = structlog.get_logger(__name__)

WAITING = (Status.NEW, Status.QUEUED)

CANCEL_SECONDS = 4.0
"""How long `cancel` waits for a running job to end. Its worker polls for cancelled jobs once a second."""

CANCEL_POLL_SECONDS = 0.1
"""How often `cancel` reads a running job."""

REPLAYED_AT_ONCE = 100
"""How many jobs `replay_all` reads at a time."""

SEEN_SECONDS = 660
"""How long the id of a message is kept: its signature is valid for at most ten minutes."""


class JobControl:
    """Operations on the jobs of a queue for its operators.

    Those with a `message_id` act once per message, so a recorded message cannot repeat its effect.
    """

    def __init__(self, *, queue: JobQueue, jobs: JobService, cancel_seconds: float = CANCEL_SECONDS) -> None:
        self._queue = queue
        self._jobs = jobs
        self._cancel_seconds = cancel_seconds

    async def cancel(self, job_id: str, *, message_id: str | None = None) -> Job:
        """Cancel a job, and return it as it is then; its callback, if it has one, reports the error `cancelled`.

        A waiting job ends at once. A running job ends as soon as its worker has seen the request, after a second or
        two. Derivatives that are stored by then remain. A job that is still running when this returns is `processing`.

        Raises:
            UnknownJob: no job has that id, or it ended too long ago.
            JobEnded: it has ended otherwise, perhaps while it was being cancelled.
        """
        job = await self._jobs.get(job_id)
        if await self._is_seen(message_id):
            return job
        deadline = time.monotonic() + self._cancel_seconds
        queued, was_waiting = await self._request_cancel(job_id)
        while is_live(queued) and time.monotonic() < deadline:
            await asyncio.sleep(CANCEL_POLL_SECONDS)
            # Again each time: the job's worker overwrites the request if it begins or retries the job at that moment.
            queued, was_waiting = await self._request_cancel(job_id)
        if queued is not None and not is_live(queued):
            if not is_cancelled(queued):
                raise JobEnded("The job has ended, so it cannot be cancelled; GET /v1/jobs/<id> returns its result.")
            if was_waiting:  # otherwise its worker does this
                _record(queued)
            await self._jobs.complete(job_id)
        await self._remember(message_id)
        return await self._jobs.get(job_id)

    async def replay(self, asked: ListJobs, *, message_id: str | None = None) -> JobPage:
        """Run a page of selected jobs again, and return those that run again; without a status, those that failed.

        Cancelled jobs are left out unless `asked.selection.code` selects them. A message runs each job once. If the
        queue becomes full, the page ends there, and its cursor continues with the next job.

        Raises:
            BadCursor: the cursor is not that of an earlier page.
            Busy: the queue is full, and no job was run again.
        """
        selection = replace(asked.selection, status=asked.selection.status or "error")
        if selection.code is None:
            selection = replace(selection, except_code=CANCELLED)
        page = await self._jobs.page(replace(asked, selection=selection))
        replayed: list[Job] = []
        cursor = asked.cursor
        for job in page.jobs:
            if job.takedown is not None:  # it is requested again instead
                cursor = cursor_after(job)
                continue
            try:
                again = await self._jobs.replay(job.id, message_id=message_id)
            except Busy:
                if not replayed:
                    raise
                return JobPage(jobs=tuple(replayed), cursor=cursor, is_complete=page.is_complete)
            cursor = cursor_after(job)
            if again.finished_at is None:
                replayed.append(again)
        return JobPage(jobs=tuple(replayed), cursor=page.cursor, is_complete=page.is_complete)

    async def replay_all(self, selection: JobFilter) -> int:
        """Run all selected jobs again, page by page, and return how many; fewer if the queue becomes full.

        Raises:
            Busy: the queue is full, and no job was run again.
        """
        count, cursor = 0, None
        while True:
            try:
                page = await self.replay(ListJobs(selection=selection, limit=REPLAYED_AT_ONCE, cursor=cursor))
            except Busy:
                if not count:
                    raise
                return count
            count += len(page.jobs)
            if page.cursor in (None, cursor):
                return count
            cursor = page.cursor

    async def pause(self, *, message_id: str | None = None) -> None:
        """Stop workers from starting jobs, on every machine and until `resume`; jobs are still accepted."""
        if not await self._is_seen(message_id):
            await self._queue.pause()
            await self._remember(message_id)

    async def resume(self, *, message_id: str | None = None) -> None:
        """Let workers start jobs again."""
        if not await self._is_seen(message_id):
            await self._queue.resume()
            await self._remember(message_id)

    async def paused_since(self) -> datetime | None:
        """Return when the queue was paused; None if it is not paused."""
        since = await self._queue.paused_since()
        return None if since is None else datetime.fromtimestamp(since, tz=UTC)

    async def _request_cancel(self, job_id: str) -> tuple[QueuedJob | None, bool]:
        """Request that a job ends; return it as it is then, and whether it ended at once because it was waiting."""
        before = await self._queue.job(job_id)
        if before is None or not is_live(before):
            return before, False
        await self._queue.abort(self._queue.copy(before), CANCEL_REQUEST)
        after = await self._queue.job(job_id)
        return after, before.status in WAITING and after is not None and is_cancelled(after)

    async def _is_seen(self, message_id: str | None) -> bool:
        return message_id is not None and await self._queue.recall(_name(message_id)) is not None

    async def _remember(self, message_id: str | None) -> None:
        if message_id is not None:
            await self._queue.remember(_name(message_id), "acted", seconds=SEEN_SECONDS)


def _record(queued: QueuedJob) -> None:
    """Count and log a job that was cancelled while it waited; for a running job, its worker does."""
    count_end(queued)
    log.info("job_cancelled", job_id=queued.key, key=(queued.kwargs or {}).get("key"))


def _name(message_id: str) -> str:
    """Return the name under which a message is remembered; its id may be long, and any text."""
    return f"operation:{hashlib.sha256(message_id.encode()).hexdigest()}"
