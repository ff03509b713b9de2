"""Helpers for tests of queues."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
from saq import Job, Status
from saq.utils import now

from proxy.queues.heartbeats import Heartbeats

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from saq import Queue

    from proxy.queues.base import JobQueue

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
                job.started, job.worker_id = now(), uuid4().hex
                job.attempts += 1
                await job.update(status=Status.ACTIVE)
                return job


class HandSetClock:
    """A monotonic clock that stands still until a test advances it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def watch(queue: JobQueue) -> HandSetClock:
    """Have a queue watch heartbeats by a clock, which is returned."""
    clock = HandSetClock()
    queue.heartbeats = Heartbeats(clock)
    return clock


async def sweep_in_an_hour(queue: JobQueue, *, abort: float = 0.2) -> list[str]:
    """Sweep now and an hour later, without a heartbeat in between; return what the second sweep released."""
    clock = watch(queue)
    await queue.sweep(abort=abort)
    clock.seconds += 3600
    return await queue.sweep(abort=abort)


async def stored(queue: Queue, key: str) -> Job:
    job = await queue.job(key)
    assert job is not None
    return job


async def counts(queue: Queue) -> tuple[int, int, int]:
    """Return the numbers of queued, active and incomplete jobs."""
    return await queue.count("queued"), await queue.count("active"), await queue.count("incomplete")
