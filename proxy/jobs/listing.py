"""Pages of the jobs in a queue, newest first, read as every queue of SAQ can: by walking them."""

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
"""How many jobs are looked at for a page: a week of a job every 6 s. It takes 2 s on SQLite, 3 to 5 on PostgreSQL, 4 to
11 on Redis, which has to be asked for the records of every status."""

_CURSOR = re.compile(r"(?P<queued>[0-9]{1,16})-(?P<key>[0-9a-f]{32})")
"""When a job was enqueued, in milliseconds since the epoch, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListJobs:
    """Which jobs are asked for: those of a status, or all; no more than `limit`, after those of an earlier page."""

    status: Status | None = None
    limit: int
    cursor: str | None = None
    """What the earlier page gave as its `cursor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """Some jobs, newest first; a cursor when there are more; whether there were too many in the queue to see all."""

    jobs: Sequence[QueuedJob]
    cursor: str | None
    is_complete: bool


class JobListing:
    """Lists the jobs of a queue; those who ask at the same time take turns, so that one walk costs the most."""

    def __init__(self, queue: Queue, *, most_walked: int = MOST_WALKED) -> None:
        self._queue = queue
        self._most_walked = most_walked
        self._turn = asyncio.Lock()

    async def page(self, asked: ListJobs) -> QueuePage:
        """Give a page; no more than that is ever held.

        Raises:
            BadCursor: the cursor is none that a page gave.
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
        places: list[tuple[int, str]] = []  # a heap: the oldest first
        walked = 0
        async for job in self._queue.iter_jobs(KEPT_AS[asked.status] if asked.status else list(QueueStatus)):
            walked += 1
            if walked > self._most_walked:
                return [*newest.values()], False
            place = (job.queued, job.key)
            is_other = asked.status and status_of(job) != asked.status
            if is_other or (before and place >= before) or job.key in newest:  # a walk may meet a job twice
                continue
            newest[job.key] = (*place, job)
            heapq.heappush(places, place)
            if len(places) > asked.limit + 1:  # one more than asked for tells whether there is another page
                del newest[heapq.heappop(places)[1]]
        return [*newest.values()], True


def _position(cursor: str) -> tuple[int, str]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise BadCursor("cursor: must be the one in the `next` of an earlier page, or left out.")
    return int(match["queued"]), match["key"]
