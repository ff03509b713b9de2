"""What takes work from a queue, some at a time, until it is stopped."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import saq
from saq.types import Context
from saq.utils import cancel_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from saq.types import FunctionsType, LifecycleFunctionsType

DEQUEUE_SECONDS = 0.5
"""How long a worker waits for a job before it looks whether it should stop."""


class TryAgain(Exception):
    """Tells the queue to run the job again; never seen outside of the worker."""


class QueueWorker(saq.Worker[Context]):
    """Takes jobs from a queue, `concurrency` at a time, until it is stopped; its host listens for signals."""

    SIGNALS = []  # noqa: RUF012 - the base class's own name and type

    def __init__(
        self,
        queue: saq.Queue,
        functions: FunctionsType[Context],
        *,
        concurrency: int,
        grace_seconds: float,
        after_process: LifecycleFunctionsType[Context] | None = None,
    ) -> None:
        super().__init__(
            queue,
            functions,
            concurrency=concurrency,
            dequeue_timeout=DEQUEUE_SECONDS,
            after_process=after_process,
        )
        self._grace_seconds = grace_seconds

    async def stop(self) -> None:
        """Take no more jobs, let those that run finish within the grace, give the rest back to the queue."""
        # saq's own grace period waits for its upkeep timers too, which sleep for up to a minute.
        self.event.set()
        if working := [task for task in self.tasks if task.get_name() == "process"]:
            await asyncio.wait(working, timeout=self._grace_seconds)
        if timers := [task for task in self.tasks if task.get_name() != "process"]:
            await cancel_tasks(timers)
        await super().stop()


@asynccontextmanager
async def at_work(worker: QueueWorker) -> AsyncIterator[None]:
    """Have a worker work as long as the block lasts; what it does then is finished when this returns."""
    working = asyncio.create_task(worker.start())
    await asyncio.sleep(0)  # saq's start() makes `event` anew: set before that, it would never be heard of
    try:
        yield
    finally:
        worker.event.set()
        await working
