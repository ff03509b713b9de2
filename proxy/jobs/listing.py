"""Pages of the jobs in a queue, newest first.

Each page is found by iterating over all jobs, because every SAQ queue supports that.
"""

from __future__ import annotations

import asyncio
import heapq
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saq import Status as QueueStatus

from proxy.errors import BadCursor
from proxy.jobs.job import KEPT_AS, status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from saq import Job as QueuedJob
    from saq import Queue

    from proxy.jobs.job import Status

MOST_WALKED = 100_000
"""The maximum number of jobs read for a page: a week of one job every 6 s.

Reading them takes 2 s on SQLite, 3 to 5 s on PostgreSQL, and 4 to 11 s on Redis, where records of every status have to
be fetched.
"""

_CURSOR = re.compile(r"(?P<queued>[0-9]{1,16})-(?P<key>[0-9a-f]{32})")
"""The time at which a job was enqueued, in milliseconds since the epoch, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListJobs:
    """A request for a page of up to `limit` jobs, of one status or of all, starting after the previous page."""

    status: Status | None = None
    limit: int
    cursor: str | None = None
    """The `cursor` of the previous page; None for the first page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """A page of jobs, newest first.

    `cursor` is None on the last page. `is_complete` is False if the queue holds too many jobs to read them all.
    """

    jobs: Sequence[QueuedJob]
    cursor: str | None
    is_complete: bool


class JobListing:
    """A listing of the jobs in a queue. It serves one request at a time, which bounds the load on the queue."""

    def __init__(self, queue: Queue, *, most_walked: int = MOST_WALKED) -> None:
        self._queue = queue
        self._most_walked = most_walked
        self._turn = asyncio.Lock()

    async def page(self, asked: ListJobs) -> QueuePage:
        """Return a page of jobs, holding no more than one page in memory.

        Raises:
            BadCursor: the cursor is not that of an earlier page.
        """
        before = None if asked.cursor is None else _position(asked.cursor)
        async with self._turn:
            newest, is_complete = await self._walk(asked, before)
        found = [job for _, _, job in sorted(newest, key=lambda entry: entry[:2], reverse=True)]
        jobs = found[: asked.limit]
        cursor = f"{jobs[-1].queued}-{jobs[-1].key}" if len(found) > asked.limit else None
        return QueuePage(jobs=jobs, cursor=cursor, is_complete=is_complete)

    async def _walk(
        self, asked: ListJobs, before: tuple[int, str] | None
    ) -> tuple[list[tuple[int, str, QueuedJob]], bool]:
        newest: dict[str, tuple[int, str, QueuedJob]] = {}
        places: list[tuple[int, str]] = []  # a min-heap: the oldest first
        walked = 0
        async for job in self._queue.iter_jobs(KEPT_AS[asked.status] if asked.status else list(QueueStatus)):
            walked += 1
            if walked > self._most_walked:
                return [*newest.values()], False
            place = (job.queued, job.key)
            is_other = asked.status and status_of(job) != asked.status
            if is_other or (before and place >= before) or job.key in newest:  # an iteration may yield a job twice
                continue
            newest[job.key] = (*place, job)
            heapq.heappush(places, place)
            if len(places) > asked.limit + 1:  # one extra job shows whether another page exists
                del newest[heapq.heappop(places)[1]]
        return [*newest.values()], True


def _position(cursor: str) -> tuple[int, str]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise BadCursor("Invalid cursor; use the `next` URL of an earlier page, or omit the cursor.")
    return int(match["queued"]), match["key"]
