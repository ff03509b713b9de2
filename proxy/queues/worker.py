"""What takes work from a queue, some at a time, until it is stopped."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import saq
import structlog
from saq.types import Context
from saq.utils import cancel_tasks

from proxy import metrics
from proxy.errors import QueueUnavailable
from proxy.queues.base import CONCURRENCY, HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from saq import Job
    from saq.types import FunctionsType

    from proxy.queues.base import JobQueue

log = structlog.get_logger(__name__)

DEQUEUE_SECONDS = 0.5
"""How long a worker waits for a job before it looks whether it should stop."""

HEARTBEAT_INTERVAL_SECONDS = 5.0
"""How often a worker shows that it lives, on each of its jobs: three beats may be missing before it counts as dead."""

SWEEP_SECONDS = 5.0
"""How often a worker looks for jobs whose worker went silent. With the heartbeat: taken over within 25 s."""

POLL_SECONDS = 1.0
"""How often a worker looks for jobs that have come due, and for those of its own that are to be aborted."""

REPORT_SECONDS = 10.0
"""How often a worker says what it has done."""


class RetryLater(Exception):
    """Tells the queue to run the job again; never seen outside of the worker."""


class QueueWorker(saq.Worker[Context]):
    """Takes jobs from a queue, `concurrency` at a time, until it is stopped; its host listens for signals."""

    SIGNALS = []  # noqa: RUF012 - the base class's own name and type

    queue: JobQueue

    def __init__(
        self,
        queue: JobQueue,
        functions: FunctionsType[Context],
        *,
        concurrency: int,
        grace_seconds: float,
    ) -> None:
        super().__init__(
            queue,
            functions,
            concurrency=concurrency,
            dequeue_timeout=DEQUEUE_SECONDS,
            before_process=self._begin,
            after_process=self._end,
            metadata={CONCURRENCY: concurrency},
        )
        self._grace_seconds = grace_seconds

    def log_context(self, job: Job) -> dict[str, object]:
        """Give what every line of the log about a job says of it."""
        return {"job_id": job.key, "attempt": job.attempts}

    async def on_end(self, job: Job) -> None:
        """See to what follows the end of a job, whatever brought it about."""

    async def stop(self) -> None:
        """Take no more jobs, let those that run finish within the grace, give the rest back to the queue."""
        # saq's own grace period waits for its upkeep timers too, which sleep for up to a minute.
        self.event.set()
        if working := [task for task in self.tasks if task.get_name() == "process"]:
            await asyncio.wait(working, timeout=self._grace_seconds)
        if timers := [task for task in self.tasks if task.get_name() != "process"]:
            await cancel_tasks(timers)
        await super().stop()

    async def upkeep(self) -> list[asyncio.Task[None]]:
        """Begin what a worker does besides jobs; it goes on until `stop` has seen the last of them."""
        upkeep_tasks: tuple[tuple[Callable[[], Awaitable[object]], float], ...] = (
            (self.send_heartbeats, HEARTBEAT_INTERVAL_SECONDS),
            (self.sweep, SWEEP_SECONDS),
            (self.schedule, POLL_SECONDS),
            (partial(self.abort, POLL_SECONDS), POLL_SECONDS),
            (self.worker_info, REPORT_SECONDS),
        )
        return [asyncio.create_task(_repeat(upkeep_task, seconds)) for upkeep_task, seconds in upkeep_tasks]

    async def send_heartbeats(self) -> None:
        """Show on each job that its worker lives; let go of those that are not its any more."""
        for job, running in list(self.job_task_contexts.items()):
            if not await self.queue.touch(job) and not running["task"].done():
                log.warning("job_lost", **self.log_context(job))
                running["task"].cancel()

    async def sweep(self) -> None:
        """Take jobs from workers that went silent; after an outage of the queue, let all of them beat first."""
        try:
            taken_over = await self.queue.sweep()
        except QueueUnavailable:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            raise
        metrics.jobs_taken_over_total.inc(len(taken_over))
        prefix = self.queue.job_id("")  # SAQ says it of some queues' jobs
        for job in await self.queue.jobs([one.removeprefix(prefix) for one in taken_over]) if taken_over else ():
            if job is not None:
                with structlog.contextvars.bound_contextvars(**self.log_context(job)):
                    log.warning("job_taken_over", status=job.status.value)
                    if job.status == saq.Status.ABORTED:  # by the sweep; else it is, or was, at work again
                        await self.on_end(job)

    async def process(self) -> bool:
        """Take a job and work it; one that the queue would hear nothing more of is taken over in a while."""
        try:
            return await super().process()
        except QueueUnavailable as trouble:
            log.warning("job_left", detail=str(trouble))
            return False

    async def _begin(self, context: Context) -> None:
        # Everything that this task logs from now on, the queue's library too, is about that job; it is the task's last.
        structlog.contextvars.bind_contextvars(**self.log_context(context["job"]))

    async def _end(self, context: Context) -> None:
        if context["job"].completed:
            await self.on_end(context["job"])


@asynccontextmanager
async def running_worker(worker: QueueWorker) -> AsyncIterator[None]:
    """Have a worker work as long as the block lasts; what it does then is finished when this returns."""
    working = asyncio.create_task(worker.start())
    await asyncio.sleep(0)  # saq's start() makes `event` anew: set before that, it would never be heard of
    try:
        yield
    finally:
        worker.event.set()
        await working


async def _repeat(upkeep_task: Callable[[], Awaitable[object]], seconds: float) -> None:
    while True:
        try:
            await upkeep_task()
        except QueueUnavailable:
            pass  # whoever asks for jobs tells of it, once
        except Exception:
            log.exception("upkeep_failed")
        await asyncio.sleep(seconds)
