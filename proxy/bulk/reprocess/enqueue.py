"""An original's derivatives ordered from the workers of a queue, who may be on many machines."""

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
"""Share of the queue's bound that a run may fill: the rest is for those who post jobs while it goes on."""

EACH = 2
"""Jobs that wait for each worker: none is idle, and a job that is posted meanwhile stands behind few. QueueTooLong,
of config/alerts.yml, begins at twice as many."""

LOOK_SECONDS = 0.5
"""How often it is looked whether there is room, or whether a job has ended."""


class EnqueueStep:
    """Orders what is due of an original, and waits until that job has ended.

    `run` makes the jobs' ids: a run that was killed and goes on finds those it had ordered.
    """

    def __init__(self, *, jobs: JobService, inspector: Inspector, queue_size: int, run: str, stop: Stop) -> None:
        self._jobs = jobs
        self._inspector = inspector
        self._most = max(1, int(queue_size * SHARE))
        self._run = run
        self._stop = stop
        self._ordering = asyncio.Lock()
        self._is_warned = False

    async def run(self, key: str) -> OriginalDone:
        """Tell what came of an original.

        Raises:
            StoreUnavailable, QueueUnavailable: that would say nothing of the original.
            Stopped: the run ends before the job has; the job goes on.
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
        async with self._ordering:
            while True:
                line = await self._jobs.waiting()
                if line.jobs < min(self._most, EACH * max(1, line.workers)):
                    try:
                        return await self._jobs.submit(request, idempotency_key=f"{self._run}:{request.key}")
                    except Busy:  # others were quicker
                        pass
                elif not line.workers:
                    self._warn()
                await self._stop.sleep(LOOK_SECONDS)

    def _warn(self) -> None:
        """Say once that the jobs wait for nobody: else a run whose workers are down looks like one that hangs."""
        if not self._is_warned:
            self._is_warned = True
            log.warning("nobody_works", detail="No worker of QUEUE has shown itself; jobs wait until one does.")
