"""Helpers for tests of queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from saq import Job, Status
from saq.utils import now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from saq import Queue

DEADLINE_SECONDS = 15.0


async def eventually(question: Callable[[], Awaitable[bool]]) -> None:
    """Poll `question` until it returns true: for changes over time, or without a notification."""
    with anyio.fail_after(DEADLINE_SECONDS):
        while not await question():  # noqa: ASYNC110 - servers send no event for these changes
            await anyio.sleep(0.05)


async def take(queue: Queue) -> Job:
    """Take and return the next job as a worker does, waiting until a scheduled one is due."""
    with anyio.fail_after(DEADLINE_SECONDS):
        while True:
            await queue.schedule()
            job = await queue.dequeue(timeout=0.3)
            if job is not None:
                job.started = now()
                job.attempts += 1
                await job.update(status=Status.ACTIVE)
                return job


async def stored(queue: Queue, key: str) -> Job:
    job = await queue.job(key)
    assert job is not None
    return job


async def counts(queue: Queue) -> tuple[int, int, int]:
    """Return the numbers of queued, active and incomplete jobs."""
    return await queue.count("queued"), await queue.count("active"), await queue.count("incomplete")
