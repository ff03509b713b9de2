"""What is known of the jobs that wait or run: which originals have one, how long the oldest waits, how fast they end.

Reading all live jobs at each post would cost more than everything else together once hundreds wait. So those that are
new are read once a second; in between each post asks only for those jobs that may be its own. What this process itself
enqueues is known at once, so only a job that another process enqueued for the same original within that second is not
seen: then there are two jobs, of which the later finds everything made.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from saq.job import TERMINAL_STATUSES

from proxy.jobs.request import JobRequest
from proxy.jobs.retry_after import RetryAfter
from proxy.queues.base import CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from saq import Job as QueuedJob
    from saq.types import WorkerInfo

    from proxy.queues.base import JobQueue

REFRESH_SECONDS = 1.0
"""How old what is known of other processes' jobs may be."""

OUTDATED_SECONDS = 3 * REFRESH_SECONDS
"""How old it may be before those who decide look themselves."""

MAX_REFRESH_SHARE = 0.05
"""Share of the time that goes into reading the live jobs at most, however many there are."""

MOST_READ = 10_000
"""How many live jobs are read; far above any sensible QUEUE_SIZE."""


class QueueStatus(NamedTuple):
    """How many jobs wait, for how many seconds the oldest has, how many jobs all workers work at once."""

    jobs: int
    oldest_seconds: float
    workers: int


class LiveIndex:
    """Knows the live jobs of a queue."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._requests: dict[str, dict[str, JobRequest]] = {}
        """The orders that may be live, by their original and their job's id."""
        self._originals: dict[str, str] = {}
        """The original of each of them, by its job's id."""
        self._added: set[str] = set()
        """The ids of those added since the last look began: they may have come into the queue since."""
        self._refreshing = asyncio.Lock()
        self._refreshed_at = -math.inf
        self._refresh_after = -math.inf
        self._oldest: float | None = None
        self._workers = 0
        self._retry_after = RetryAfter()

    async def status(self) -> QueueStatus:
        """Look, and tell how long the line is."""
        await self.refresh()
        waiting = await self.waiting()
        return QueueStatus(waiting, self.oldest_seconds() if waiting else 0.0, self._workers)

    async def waiting(self) -> int:
        """Count the jobs that wait, those that were put off too."""
        return await self._queue.count_waiting()

    def oldest_seconds(self) -> float:
        """Tell how long the oldest of the waiting jobs had waited at the last look, and since."""
        return time.time() - self._oldest if self._oldest else 0.0

    def retry_after_seconds(self, waiting: int) -> int:
        """Guess when there will be room again."""
        return self._retry_after.seconds(waiting)

    @property
    def is_outdated(self) -> bool:
        """Tell whether nobody has looked for a while: those who decide cannot leave it to those who watch."""
        return time.monotonic() - self._refreshed_at > OUTDATED_SECONDS and time.monotonic() > self._refresh_after

    async def refresh(self) -> None:
        """Read which jobs are live, unless that was done a moment ago."""
        async with self._refreshing:
            began = time.monotonic()
            if began < self._refresh_after:
                return
            earlier, self._added = self._added, set()
            snapshot = await self._queue.snapshot(self._originals.keys(), limit=MOST_READ)
            for job_id, request in snapshot.new.items():
                self._note(job_id, msgspec.convert(request, JobRequest))
            if len(snapshot.keys) < MOST_READ:  # else who is missing may only stand too far behind
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
        """Give the jobs of these ids that are there, and those that may be live for these originals."""
        wanted = list({*ids, *(job_id for original in originals for job_id in self._requests.get(original, ()))})
        found = await self._queue.jobs(wanted) if wanted else []
        there = {queued.key: queued for queued in found if queued}
        for job_id in wanted:
            if job_id in self._originals and not is_live(there.get(job_id)):
                self._forget(job_id)
        return there

    def covering(self, request: JobRequest) -> list[str]:
        """Give the ids of live jobs that make all that is ordered; `find` tells first which are live still."""
        requests = self._requests.get(request.key, {}).items()
        return [job_id for job_id, live in requests if live.covers(request)]

    def add(self, job_id: str, request: JobRequest) -> None:
        """Take note of a job that is live from now on."""
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
    """Tell whether a job waits or runs."""
    return queued is not None and queued.status not in TERMINAL_STATUSES


def _ended_by_worker(workers: Mapping[str, WorkerInfo]) -> dict[str, int]:
    reports = {worker: report["stats"] for worker, report in workers.items()}
    return {worker: stats["complete"] + stats["failed"] for worker, stats in reports.items() if stats}
