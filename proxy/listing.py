"""Pages of the jobs in a queue, newest first, read as every queue of SAQ can: by walking them."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.errors import BadCursor
from proxy.outcomes import KEPT_AS, status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from saq import Job as QueuedJob
    from saq import Queue

    from proxy.outcomes import Status

MOST_WALKED = 100_000
"""How many jobs are looked at for a page, which takes about 4 s: a week of one job every 6 seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which jobs are asked for: those of a status, or all; no more than `limit`, after those of an earlier page."""

    status: Status | None = None
    limit: int
    cursor: str | None = None
    """What the earlier page gave as its `cursor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some jobs, newest first; a cursor when there are more; whether there were too many in the queue to see all."""

    jobs: Sequence[QueuedJob]
    cursor: str | None
    is_complete: bool


class Listing:
    """Lists the jobs of a queue; those who ask at the same time take turns, so that one walk costs the most."""

    def __init__(self, queue: Queue, *, most_walked: int = MOST_WALKED) -> None:
        self._queue = queue
        self._most_walked = most_walked
        self._turn = asyncio.Lock()

    async def page(self, asked: Asked) -> Page:
        """Give a page; no more than that is ever held.

        Raises:
            BadCursor: the cursor is none that a page gave.
        """
        before = _place(asked.cursor) if asked.cursor else None
        async with self._turn:
            newest, is_complete = await self._walk(asked, before)
        found = [job for _, _, job in sorted(newest, key=lambda entry: entry[:2], reverse=True)]
        jobs = found[: asked.limit]
        cursor = f"{jobs[-1].queued}-{jobs[-1].key}" if len(found) > asked.limit else None
        return Page(jobs=jobs, cursor=cursor, is_complete=is_complete)

    async def _walk(
        self, asked: Asked, before: tuple[int, str] | None
    ) -> tuple[list[tuple[int, str, QueuedJob]], bool]:
        statuses = KEPT_AS[asked.status] if asked.status else tuple({one for kept in KEPT_AS.values() for one in kept})
        newest: dict[str, tuple[int, str, QueuedJob]] = {}
        heap: list[tuple[int, str]] = []
        walked = 0
        async for job in self._queue.iter_jobs(list(statuses)):
            walked += 1
            if walked > self._most_walked:
                return [*newest.values()], False
            place = (job.queued, job.key)
            if (before and place >= before) or (asked.status and status_of(job) != asked.status) or job.key in newest:
                continue  # a walk may meet a job twice
            newest[job.key] = (*place, job)
            heapq.heappush(heap, place)
            if len(heap) > asked.limit + 1:  # one more than asked for tells whether there is another page
                del newest[heapq.heappop(heap)[1]]
        return [*newest.values()], True


def _place(cursor: str) -> tuple[int, str]:
    queued, dash, key = cursor.partition("-")
    if not (dash and key and queued.isascii() and queued.isdecimal() and len(queued) < 20):
        raise BadCursor("cursor: must be the `next` of an earlier page, or left out.")
    return int(queued), key
