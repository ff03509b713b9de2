"""The step that has an original rendered by the workers of a queue, which may run on many machines."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from proxy.bulk.events import OriginalDone
from proxy.errors import Busy
from proxy.jobs.request import JobRequest

if TYPE_CHECKING:
    from proxy.bulk.reprocess.inspect import Inspector
    from proxy.bulk.stop import Stop
    from proxy.jobs.job import Job
    from proxy.jobs.service import JobService

log = structlog.get_logger(__name__)

SHARE = 0.5
"""Share of the queue's bound that a run may fill: the rest is for jobs that are posted meanwhile."""

JOBS_PER_WORKER = 2
"""Waiting jobs for each worker: none is idle, and a job that is posted meanwhile waits for few. QueueTooLong,
of config/alerts.yml, fires at twice as many."""

LOOK_SECONDS = 0.5
"""How often to poll for room in the queue, or for the end of a job."""


class EnqueueStep:
    """Queues a job for what is due of an original, and waits for its end.

    Job ids derive from `run`: a run that was killed and resumes finds the jobs that it had queued.
    """

    def __init__(self, *, jobs: JobService, inspector: Inspector, queue_size: int, run: str, stop: Stop) -> None:
        self._jobs = jobs
        self._inspector = inspector
        self._max_waiting = max(1, int(queue_size * SHARE))
        self._run = run
        self._stop = stop
        self._submitting = asyncio.Lock()
        self._has_warned = False

    async def run(self, key: str) -> OriginalDone:
        """Return the outcome of an original.

        Raises:
            StoreUnavailable, QueueUnavailable: they are at fault, not the original.
            Stopped: the run ends before the job does; the job goes on.
        """
        inspected = await self._inspector.inspect(key)
        if inspected.result == "fresh":
            return inspected
        started = time.perf_counter()
        job = await self._submit(
            JobRequest(key=key, sizes=self._inspector.sizes, force=self._inspector.remake == "all", batch=True)
        )
        while job.status in ("queued", "processing"):
            await self._stop.sleep(LOOK_SECONDS)
            job = await self._jobs.get(job.id)
        if job.error:
            return OriginalDone(key=key, result="failed", code=job.error.code, detail=job.error.detail)
        return OriginalDone(key=key, result="made", seconds=round(time.perf_counter() - started, 3))

    async def _submit(self, request: JobRequest) -> Job:
        async with self._submitting:
            while True:
                line = await self._jobs.waiting()
                if line.jobs < min(self._max_waiting, JOBS_PER_WORKER * max(1, line.workers)):
                    try:
                        return await self._jobs.submit(request, idempotency_key=f"{self._run}:{request.key}")
                    except Busy:  # others took the room
                        pass
                elif not line.workers:
                    self._warn_no_workers()
                await self._stop.sleep(LOOK_SECONDS)

    def _warn_no_workers(self) -> None:
        """Warn once that there are no workers: without it a run whose workers are down seems to hang."""
        if not self._has_warned:
            self._has_warned = True
            log.warning("no_workers", detail="No worker reports to QUEUE; jobs wait until one does.")
