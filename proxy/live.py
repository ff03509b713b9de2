"""What is known of the jobs that wait or run: which originals have one, how long the oldest waits, how fast they end.

Reading all live jobs at each post would cost more than everything else together once hundreds wait. So they are read
once in a while; in between each post asks only for those jobs that may be its own. What this process itself enqueues is
known at once, so only a job that another process enqueued for the same original within the last second is not seen:
then there are two jobs, of which the later finds everything made.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

import msgspec
from saq.job import TERMINAL_STATUSES, Status

from proxy.orders import Order
from proxy.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from saq import Job as QueuedJob
    from saq import Queue
    from saq.types import QueueInfo

LOOK_SECONDS = 1.0
"""How old what is known of other processes' jobs may be."""

OUTDATED_SECONDS = 3 * LOOK_SECONDS
"""How old it may be before those who decide look themselves."""

LOOK_SHARE = 0.05
"""Share of the time that goes into reading the live jobs at most, however many there are."""

MOST_READ = 10_000
"""How many live jobs are read; far above any sensible QUEUE_SIZE."""


class LiveJobs:
    """Knows the live jobs of a queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._orders: dict[str, dict[str, Order]] = {}
        """The orders that may be live, by their original and their job's id."""
        self._added: list[tuple[str, Order]] = []
        """Those that were added while the live jobs were read, which may have missed them."""
        self._looking = asyncio.Lock()
        self._looked = -math.inf
        self._look_again = -math.inf
        self._oldest: float | None = None
        self._pace = Pace()

    async def waiting(self) -> int:
        """Count the jobs that wait, those that were put off too."""
        incomplete, active = await asyncio.gather(self._queue.count("incomplete"), self._queue.count("active"))
        return incomplete - active

    def oldest_seconds(self) -> float:
        """Tell how long the oldest of the waiting jobs had waited at the last look, and since."""
        return time.time() - self._oldest if self._oldest else 0.0

    def retry_after_seconds(self, waiting: int) -> int:
        """Guess when there will be room again."""
        return self._pace.seconds_until_half_done(waiting)

    @property
    def is_outdated(self) -> bool:
        """Tell whether nobody has looked for a while: those who decide cannot leave it to those who watch."""
        return time.monotonic() - self._looked > OUTDATED_SECONDS and time.monotonic() > self._look_again

    async def look(self) -> None:
        """Read the live jobs, unless that was done a moment ago."""
        async with self._looking:
            began = time.monotonic()
            if began < self._look_again:
                return
            self._added.clear()
            told = await self._queue.info(jobs=True, limit=MOST_READ)
            orders = [(job["key"], msgspec.convert(job["kwargs"], Order)) for job in told["jobs"]]
            self._orders = {}
            for job_id, order in [*orders, *self._added]:
                self._orders.setdefault(order.key, {})[job_id] = order
            since = [job["queued"] for job in told["jobs"] if job.get("status") == Status.QUEUED]
            self._oldest = min(since) / 1000 if since else None
            self._pace.see(_ended_by_worker(told), waiting=len(since))
            self._looked = time.monotonic()
            self._look_again = self._looked + max(LOOK_SECONDS, (self._looked - began) / LOOK_SHARE)

    async def find(self, ids: Iterable[str], *, originals: Iterable[str]) -> dict[str, QueuedJob]:
        """Give the jobs of these ids that are there, and those that may be live for these originals."""
        known = [original for original in originals if original in self._orders]
        wanted = list({*ids, *(job_id for original in known for job_id in self._orders[original])})
        found = await self._queue.jobs(wanted) if wanted else []
        there = {queued.key: queued for queued in found if queued}
        for original in known:
            self._forget_ended(original, there)
        return there

    def covering(self, order: Order) -> str | None:
        """Give the id of a live job that makes all that is ordered; `find` tells first which are live still."""
        orders = self._orders.get(order.key, {}).items()
        return next((job_id for job_id, live in orders if live.covers(order)), None)

    def add(self, job_id: str, order: Order) -> None:
        """Take note of a job that is live from now on."""
        self._orders.setdefault(order.key, {})[job_id] = order
        if self._looking.locked():
            self._added.append((job_id, order))

    def _forget_ended(self, original: str, there: Mapping[str, QueuedJob]) -> None:
        live = {job_id: order for job_id, order in self._orders[original].items() if is_live(there.get(job_id))}
        if live:
            self._orders[original] = live
        else:
            del self._orders[original]


def is_live(queued: QueuedJob | None) -> bool:
    """Tell whether a job waits or runs."""
    return queued is not None and queued.status not in TERMINAL_STATUSES


def _ended_by_worker(told: QueueInfo) -> dict[str, int]:
    reports = {worker: report["stats"] for worker, report in told["workers"].items()}
    return {worker: stats["complete"] + stats["failed"] for worker, stats in reports.items() if stats}
