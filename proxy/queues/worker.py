"""The base class of workers, which run a queue's jobs until they are stopped."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, TypeAlias

import saq
import structlog
from saq.types import Context

from proxy import metrics
from proxy.concurrency.cancellation import cancel
from proxy.errors import QueueUnavailable
from proxy.queues.base import CONCURRENCY
from proxy.queues.heartbeats import HEARTBEAT_SECONDS
from proxy.system.failpoints import reached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from saq import Job

    from proxy.queues.base import JobQueue

    Function: TypeAlias = Callable[..., Awaitable[object]]
    """What runs a job; it is given SAQ's context, and the arguments of the job."""

log = structlog.get_logger(__name__)

HEARTBEAT_INTERVAL_SECONDS = 5.0
"""How often a worker sends a heartbeat for each of its jobs; three may be lost before the worker counts as dead."""

SWEEP_SECONDS = 5.0
"""How often a worker sweeps for jobs of silent workers; with `HEARTBEAT_SECONDS`, they are taken over within 25 s."""

POLL_SECONDS = 1.0
"""How often a worker polls for scheduled jobs that are due, and for jobs of its own that are to be aborted."""

REPORT_SECONDS = 10.0
"""How often a worker writes its report to the queue."""


class RetryLater(Exception):
    """Raised by a job's function to run the job again later; it never leaves the worker."""


def do_not_count(job: Job) -> None:
    """Have a job's next retry put it back at once, as it was before this attempt."""
    job.attempts -= 1
    job.retry_delay, job.retry_backoff = 0.0, False


def leave_in_outage(function: Function) -> Function:
    """Return a job's function that puts the job back if the queue fails while it runs; that attempt does not count.

    SAQ would count it, and log a traceback as if the job had failed. If the job cannot be put back either, its worker
    falls silent about it, and another one takes it over.
    """

    @wraps(function)
    async def guarded(context: Context, **arguments: object) -> object:
        try:
            return await function(context, **arguments)
        except QueueUnavailable as trouble:
            do_not_count(context["job"])
            log.warning("job_lease_abandoned", detail=str(trouble))
            raise RetryLater(str(trouble)) from trouble

    return guarded


class QueueWorker(saq.Worker[Context]):
    """A worker that runs `concurrency` jobs at a time until it is stopped; its host process handles signals."""

    SIGNALS = []  # noqa: RUF012 - the base class's own name and type

    queue: JobQueue

    def __init__(
        self,
        queue: JobQueue,
        functions: Mapping[str, Function],
        *,
        concurrency: int,
        grace_seconds: float,
    ) -> None:
        super().__init__(
            queue,
            [(name, leave_in_outage(function)) for name, function in functions.items()],
            concurrency=concurrency,
            dequeue_timeout=queue.dequeue_seconds,
            before_process=self._begin,
            after_process=self._end,
            metadata={CONCURRENCY: concurrency},
        )
        self._grace_seconds = grace_seconds

    def log_context(self, job: Job) -> dict[str, object]:
        """Return the fields that every log line about a job contains."""
        return {"job_id": job.key, "attempt": job.attempts}

    async def on_end(self, job: Job) -> None:
        """Handle the end of a job, however it ended; the default does nothing."""

    async def stop(self) -> None:
        """Stop taking jobs, wait for running ones until the grace period ends, and requeue the rest."""
        # SAQ's own grace period also waits for its upkeep timers, which sleep for up to a minute.
        self.event.set()
        self.queue.interrupt()
        if working := [task for task in self.tasks if task.get_name() == "process"]:
            await asyncio.wait(working, timeout=self._grace_seconds)
        await cancel([task for task in self.tasks if task.get_name() != "process"])
        await super().stop()

    async def upkeep(self) -> list[asyncio.Task[None]]:
        """Start the periodic tasks of the worker; they run until `stop` has waited for the last job."""
        upkeep_tasks: tuple[tuple[Callable[[], Awaitable[object]], float], ...] = (
            (self.send_heartbeats, HEARTBEAT_INTERVAL_SECONDS),
            (self.sweep, SWEEP_SECONDS),
            (self.schedule, POLL_SECONDS),
            (partial(self.abort, -math.inf), POLL_SECONDS),  # whenever it started: by the clock, that may be later
            (self.worker_info, REPORT_SECONDS),
        )
        return [asyncio.create_task(_repeat(upkeep_task, seconds)) for upkeep_task, seconds in upkeep_tasks]

    async def send_heartbeats(self) -> None:
        """Send a heartbeat for each running job, and cancel those that no longer belong to this worker."""
        for job, running in list(self.job_task_contexts.items()):
            if not await self.queue.touch(job) and not running["task"].done():
                log.warning("job_lease_lost", **self.log_context(job))
                running["task"].cancel()

    async def sweep(self) -> None:
        """Take over jobs of silent workers; after a queue outage, first wait for every worker's heartbeat."""
        try:
            taken_over = await self.queue.sweep()
        except QueueUnavailable:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            raise
        metrics.jobs_taken_over_total.inc(len(taken_over))
        if taken_over:
            reached("jobs-taken-over", "")
        prefix = self.queue.job_id("")  # some of SAQ's queues return ids with a prefix
        for job in await self.queue.jobs([one.removeprefix(prefix) for one in taken_over]) if taken_over else ():
            if job is not None:
                with structlog.contextvars.bound_contextvars(**self.log_context(job)):
                    log.warning("job_taken_over", status=job.status.value)
                    if job.status == saq.Status.ABORTED:  # by the sweep; any other job was queued again
                        await self.on_end(job)

    async def process(self) -> bool:
        """Take and run one job; if the queue fails meanwhile, the job is taken over later."""
        try:
            return await super().process()
        except QueueUnavailable as trouble:
            log.warning("job_lease_abandoned", detail=str(trouble))
            return False

    async def _begin(self, context: Context) -> None:
        # A task runs only one job: all that it logs from now on, SAQ's lines included, is about that job.
        structlog.contextvars.bind_contextvars(**self.log_context(context["job"]))

    async def _end(self, context: Context) -> None:
        if context["job"].completed:
            await self.on_end(context["job"])


@asynccontextmanager
async def running_worker(worker: QueueWorker) -> AsyncIterator[None]:
    """Run a worker for the duration of the block, then stop it and wait until it has stopped."""
    working = asyncio.create_task(worker.start())
    await asyncio.sleep(0)  # SAQ's start() creates a new `event`: one that was set before has no effect
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
            pass  # `dequeue` logs the outage, once
        except Exception:
            log.exception("periodic_task_failed")
        await asyncio.sleep(seconds)
