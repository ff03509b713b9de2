"""Pages of the jobs in a queue, newest first.

A page is found by iterating over all jobs, because every SAQ queue supports that; a queue that yields the newest first
is read only as far as the page needs.
"""

from __future__ import annotations

import asyncio
import heapq
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saq import Status as QueueStatus

from proxy.errors import BadCursor
from proxy.jobs.job import KEPT_AS, error_code, status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from saq import Job as QueuedJob

    from proxy.jobs.job import Job, Status
    from proxy.queues.base import JobQueue

MOST_WALKED = 100_000
"""The maximum number of jobs read for a page: a week of one job every 6 s.

Reading them takes 2 s on SQLite, 3 to 5 s on PostgreSQL, and 4 to 11 s on Redis, where records of every status have to
be fetched.
"""

MOST_CAUSES = 200
"""How many failed jobs are counted by cause."""

_CURSOR = re.compile(r"(?P<queued>[0-9]{1,16})-(?P<key>[0-9a-f]{32})")
"""The time at which a job was enqueued, in milliseconds since the epoch, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """A selection of jobs; each field that is not None restricts it. Ages are in seconds since a job was enqueued."""

    key: str | None = None
    """The key of the original."""
    key_part: str | None = None
    """A part of it, in upper or lower case."""
    status: Status | None = None
    code: str | None = None
    """The code of the error with which a job ended, or for which it waits for a retry."""
    except_code: str | None = None
    older_than_seconds: float | None = None
    newer_than_seconds: float | None = None

    def matches(self, job: QueuedJob, *, now: float) -> bool:
        """Return whether a job is selected at the time `now`, in seconds since the epoch."""
        age = now - job.queued / 1000
        return (
            (self.status is None or status_of(job) == self.status)
            and (self.key is None or (job.kwargs or {}).get("key") == self.key)
            and (self.key_part is None or self.key_part.lower() in str((job.kwargs or {}).get("key")).lower())
            and (self.older_than_seconds is None or age >= self.older_than_seconds)
            and (self.newer_than_seconds is None or age <= self.newer_than_seconds)
            and (self.code is None or error_code(job) == self.code)
            and (self.except_code is None or error_code(job) != self.except_code)
        )


ANY_JOB = JobFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListJobs:
    """A request for a page of up to `limit` of the selected jobs, starting after the previous page."""

    selection: JobFilter = ANY_JOB
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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """A page of jobs, newest first.

    `cursor` is None on the last page. `is_complete` is False if the queue holds too many jobs to read them all.
    """

    jobs: tuple[Job, ...]
    cursor: str | None
    is_complete: bool


class JobListing:
    """A listing of the jobs in a queue. It serves one request at a time, which bounds the load on the queue."""

    def __init__(self, queue: JobQueue, *, most_walked: int = MOST_WALKED) -> None:
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
        cursor = _cursor(jobs[-1].queued, jobs[-1].key) if len(found) > asked.limit else None
        return QueuePage(jobs=jobs, cursor=cursor, is_complete=is_complete)

    async def causes(self) -> Counter[str]:
        """Return how many of up to `MOST_CAUSES` jobs that failed, the newest if possible, have each error code."""
        found: Counter[str] = Counter()
        async with self._turn:
            async for job in self._queue.iter_newest(KEPT_AS["error"], has_failed=True):
                if status_of(job) == "error":
                    found[error_code(job) or ""] += 1
                if found.total() == MOST_CAUSES:
                    break
        return found

    async def _walk(
        self, asked: ListJobs, before: tuple[int, str] | None
    ) -> tuple[list[tuple[int, str, QueuedJob]], bool]:
        newest: dict[str, tuple[int, str, QueuedJob]] = {}
        places: list[tuple[int, str]] = []  # a min-heap: the oldest first
        walked = 0
        chosen, now = asked.selection, time.time()
        statuses = KEPT_AS[chosen.status] if chosen.status else list(QueueStatus)
        async for job in self._queue.iter_newest(
            statuses, before=before, has_failed=chosen.status == "error", text=chosen.key or chosen.key_part or ""
        ):
            walked += 1
            if walked > self._most_walked:
                return [*newest.values()], False
            place = (job.queued, job.key)
            if job.key in newest or (before and place >= before):  # an iteration may yield a job twice
                continue
            if not chosen.matches(job, now=now):
                continue
            newest[job.key] = (*place, job)
            heapq.heappush(places, place)
            if len(places) > asked.limit + 1:  # one extra job shows whether another page exists
                del newest[heapq.heappop(places)[1]]
            if self._queue.is_newest_first and len(places) > asked.limit:
                break
        return [*newest.values()], True


def cursor_after(job: Job) -> str:
    """Return the cursor of the page that begins with the job after this one."""
    return _cursor(round(job.created_at.timestamp() * 1000) if job.created_at else 0, job.id)


def _cursor(queued: int, job_id: str) -> str:
    return f"{queued}-{job_id}"


def _position(cursor: str) -> tuple[int, str]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise BadCursor("Invalid cursor; use the `next` URL of an earlier page, or omit the cursor.")
    return int(match["queued"]), match["key"]
