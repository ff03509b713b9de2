"""An in-memory index of the live jobs (waiting or running) by original, with queue age and throughput.

Reading all live jobs for each post would cost more than everything else combined once hundreds wait. So new jobs are
read once a second. In between, each post reads only the jobs that may match it. Jobs that this process enqueues are
added at once. Only a job that another process enqueued for the same original within that second is missed. The original
then has two jobs, and the later one finds every derivative rendered.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from saq.job import TERMINAL_STATUSES

from proxy.jobs.advised_wait import AdvisedWait
from proxy.jobs.request import JobRequest
from proxy.queues.base import CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from saq import Job as QueuedJob
    from saq.types import WorkerInfo

    from proxy.queues.base import JobQueue

REFRESH_SECONDS = 1.0
"""The minimum interval between refreshes, which add the jobs of other processes."""

OUTDATED_SECONDS = 3 * REFRESH_SECONDS
"""The age at which the index is outdated, so that the next post refreshes it."""

MAX_REFRESH_SHARE = 0.05
"""The maximum fraction of the time used for refreshes, however many jobs are live."""

MOST_READ = 10_000
"""The maximum number of live jobs read; far above any sensible QUEUE_SIZE."""


class QueueStatus(NamedTuple):
    """The number of waiting jobs, the age of the oldest in seconds, and the total concurrency of all workers."""

    jobs: int
    oldest_seconds: float
    workers: int


class LiveIndex:
    """An index of the live jobs of a queue."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._requests: dict[str, dict[str, JobRequest]] = {}
        """Original -> job id -> request, for jobs that may be live."""
        self._originals: dict[str, str] = {}
        """Job id -> original, for the same jobs."""
        self._added: set[str] = set()
        """Job ids added since the last refresh began; its snapshot may not contain them yet."""
        self._refreshing = asyncio.Lock()
        self._refreshed_at = -math.inf
        self._refresh_after = -math.inf
        self._oldest: float | None = None
        self._workers = 0
        self._retry_after = AdvisedWait()

    async def status(self) -> QueueStatus:
        """Refresh the index, and return the status of the queue."""
        await self.refresh()
        waiting = await self.waiting()
        return QueueStatus(waiting, self.oldest_seconds() if waiting else 0.0, self._workers)

    async def check(self) -> None:
        """Read what a post reads; an error is raised."""
        await self.refresh()
        await self.find([uuid.uuid4().hex], originals=())
        await self.waiting()

    async def waiting(self) -> int:
        """Return the number of waiting jobs, including those scheduled for a later retry."""
        return await self._queue.count_waiting()

    def oldest_seconds(self) -> float:
        """Return the age in seconds of the job that was the oldest at the last refresh; 0 if none waited."""
        return max(0.0, time.time() - self._oldest) if self._oldest else 0.0  # the clock may have been set back

    def retry_after_seconds(self, waiting: int) -> int:
        """Return an estimate of the seconds until the queue has room again."""
        return self._retry_after.seconds(waiting)

    @property
    def is_outdated(self) -> bool:
        """Return whether posts have to refresh the index themselves, because the monitor has not done so in time."""
        return time.monotonic() - self._refreshed_at > OUTDATED_SECONDS and time.monotonic() > self._refresh_after

    async def refresh(self) -> None:
        """Read which jobs are live, unless the last refresh is recent enough."""
        async with self._refreshing:
            began = time.monotonic()
            if began < self._refresh_after:
                return
            earlier, self._added = self._added, set()
            snapshot = await self._queue.snapshot(self._originals.keys(), limit=MOST_READ)
            for job_id, request in snapshot.new.items():
                self._note(job_id, msgspec.convert(request, JobRequest))
            if len(snapshot.keys) < MOST_READ:  # else a missing job may merely be beyond the limit
                for job_id in self._originals.keys() - snapshot.keys - earlier - self._added:
                    self._forget(job_id)
            self._oldest = snapshot.oldest
            self._workers = sum((report["metadata"] or {}).get(CONCURRENCY, 0) for report in snapshot.workers.values())
            self._retry_after.record(_ended_by_worker(snapshot.workers), waiting=snapshot.waiting)
            self._refreshed_at = time.monotonic()
            self._refresh_after = self._refreshed_at + max(
                REFRESH_SECONDS, (self._refreshed_at - began) / MAX_REFRESH_SHARE
            )

    async def find(self, ids: Iterable[str], *, originals: Iterable[str]) -> dict[str, QueuedJob]:
        """Return the stored jobs with these ids, and those that may be live for these originals, by job id."""
        wanted = list({*ids, *(job_id for original in originals for job_id in self._requests.get(original, ()))})
        found = await self._queue.jobs(wanted) if wanted else []
        there = {queued.key: queued for queued in found if queued}
        for job_id in wanted:
            if job_id in self._originals and not is_live(there.get(job_id)):
                self._forget(job_id)
        return there

    def covering(self, request: JobRequest) -> list[str]:
        """Return the ids of live jobs that cover the request; call `find` first to drop jobs that have ended."""
        requests = self._requests.get(request.key, {}).items()
        return [job_id for job_id, live in requests if live.covers(request)]

    def add(self, job_id: str, request: JobRequest) -> None:
        """Add a job that is live from now on."""
        self._added.add(job_id)
        self._note(job_id, request)

    def _note(self, job_id: str, request: JobRequest) -> None:
        self._originals[job_id] = request.key
        self._requests.setdefault(request.key, {})[job_id] = request

    def _forget(self, job_id: str) -> None:
        original = self._originals.pop(job_id)
        del self._requests[original][job_id]
        if not self._requests[original]:
            del self._requests[original]


def is_live(queued: QueuedJob | None) -> bool:
    """Return whether a job exists and is waiting or running."""
    return queued is not None and queued.status not in TERMINAL_STATUSES


def _ended_by_worker(workers: Mapping[str, WorkerInfo]) -> dict[str, int]:
    reports = {worker: report["stats"] for worker, report in workers.items()}
    return {worker: stats["complete"] + stats["failed"] for worker, stats in reports.items() if stats}
