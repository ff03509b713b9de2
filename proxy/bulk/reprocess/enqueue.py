"""The step that queues a job for an original; workers, possibly on many machines, render it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from proxy.bulk.events import OriginalDone
from proxy.errors import Busy, UnexpectedError
from proxy.jobs.request import JobRequest

if TYPE_CHECKING:
    from proxy.bulk.reprocess.inspect import Inspector
    from proxy.bulk.stop import Stop
    from proxy.jobs.job import Job
    from proxy.jobs.service import JobService

log = structlog.get_logger(__name__)

SHARE = 0.5
"""Fraction of the queue's capacity that a run may fill; the rest is for jobs that are posted meanwhile."""

JOBS_PER_WORKER = 2
"""Waiting jobs per worker: no worker is idle, and a job that is posted meanwhile waits for few others.

The alert QueueTooLong in config/alerts.yml fires at over twice as many.
"""

LOOK_SECONDS = 0.5
"""Seconds between two polls for room in the queue, or for the end of a job."""


ReadPause = Callable[[], Awaitable[datetime | None]]
"""Returns when the queue was paused; None if it is not."""


class EnqueueStep:
    """A step that queues a job for an original with due sizes, and waits for the job to end.

    Idempotency keys derive from `run`: after a kill, a resumed run finds the jobs that it had queued.
    """

    def __init__(
        self, *, jobs: JobService, inspector: Inspector, queue_size: int, run: str, stop: Stop, read_pause: ReadPause
    ) -> None:
        self._jobs = jobs
        self._inspector = inspector
        self._max_waiting = max(1, int(queue_size * SHARE))
        self._run = run
        self._stop = stop
        self._submitting = asyncio.Lock()
        self._has_warned = False
        self._read_pause = read_pause
        self._is_paused = False

    async def run(self, key: str) -> OriginalDone:
        """Return the outcome of an original.

        Raises:
            StoreUnavailable, QueueUnavailable: the store or the queue failed; the original is not the cause.
            Stopped: the run stops before the job ends; the job continues.
        """
        inspected = await self._inspector.inspect(key)
        if inspected.result == "fresh":
            return inspected
        started = time.perf_counter()
        sizes = self._inspector.recipe.names_of(key, among=self._inspector.sizes)
        job = await self._submit(JobRequest(key=key, sizes=sizes, force=self._inspector.remake == "all", batch=True))
        while job.status in ("queued", "processing") and not _is_deferred(job):
            await self._wait()
            job = await self._jobs.get(job.id)
        if fault := job.error or job.retry:
            return OriginalDone(key=key, result="failed", code=fault.code, detail=fault.detail)
        return OriginalDone(key=key, result="rendered", seconds=round(time.perf_counter() - started, 3))

    async def _submit(self, request: JobRequest) -> Job:
        async with self._submitting:
            while True:
                line = await self._jobs.waiting()
                if line.jobs < min(self._max_waiting, JOBS_PER_WORKER * max(1, line.workers)):
                    try:
                        key = f"{self._run}:{request.key}"
                        return await self._jobs.submit_unless_taken_down(request, idempotency_key=key)
                    except Busy:  # other jobs filled the queue
                        pass
                elif not line.workers:
                    self._warn_no_workers()
                await self._wait()

    async def _wait(self) -> None:
        """Wait until it is time to look again; log once that the queue is paused, whose workers start no jobs."""
        since = await self._read_pause()
        if since is not None and not self._is_paused:
            log.warning("queue_paused", since=since.isoformat(timespec="seconds"))
        self._is_paused = since is not None
        await self._stop.sleep(LOOK_SECONDS)

    def _warn_no_workers(self) -> None:
        """Log once that no worker is running; otherwise a run without workers would seem to hang."""
        if not self._has_warned:
            self._has_warned = True
            log.warning("no_workers", detail="No worker reports to QUEUE. Start `gf-images worker`; jobs wait for it.")


def _is_deferred(job: Job) -> bool:
    """Return whether a job waits for a retry after an unexpected error, which may take a day."""
    return job.retry is not None and job.retry.code == UnexpectedError.code
