"""What a worker does with a job: makes the derivatives, or says why not, or tries again later."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import saq
import structlog
from saq.utils import cancel_tasks

from pipeline.errors import Refused
from proxy import metrics
from proxy.errors import DeadlineExceeded, ImagesError, NotFound, ProcessDied, QueueUnavailable, StoreUnavailable
from proxy.jobs import FUNCTION, HEARTBEAT_SECONDS, Fault, Order, Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from saq.types import Context

    from proxy.derivatives import Derivatives
    from proxy.queues.base import JobQueue

log = structlog.get_logger(__name__)

DEQUEUE_SECONDS = 0.5
"""How long a worker waits for a job before it looks whether it should stop."""

BEAT_SECONDS = 5.0
"""How often a worker shows that it lives, on each of its jobs."""

SWEEP_SECONDS = 5.0
"""How often a worker looks for jobs whose worker went silent. With the heartbeat: taken over within 25 s."""

LOOK_SECONDS = 1.0
"""How often a worker looks for jobs that have come due, and for those of its own that are to be aborted."""

REPORT_SECONDS = 10.0
"""How often a worker says what it has done, to SAQ's own tools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often something is tried, and how many seconds lie between two tries: doubling from `first`, to `longest`."""

    attempts: int
    first: float
    longest: float

    def delay(self, attempt: int) -> float:
        """Give the seconds until the next try; a fifth more or less, so that jobs put off together come apart."""
        return min(self.first * 2.0 ** (attempt - 1), self.longest) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


PATIENCE: Mapping[type[ImagesError], Patience] = {
    NotFound: Patience(attempts=13, first=5, longest=5),  # a minute: the webhook can overtake the upload
    StoreUnavailable: Patience(attempts=12, first=2, longest=300),  # about half an hour: a provider's bad moment
    ProcessDied: Patience(attempts=2, first=1, longest=1),  # twice is no accident
    DeadlineExceeded: Patience(attempts=3, first=10, longest=60),  # the machine may have been busy
}
"""What may pass is tried again; everything else that can be wrong (`Refused`, a bad key) stays as it is."""


class TryAgain(Exception):
    """Tells the queue to run the job again; never seen outside of the worker."""


class Worker(saq.Worker["Context"]):
    """Takes jobs from a queue, `concurrency` at a time, until it is stopped; its host listens for signals."""

    SIGNALS = []  # noqa: RUF012 - the base class's own name and type

    queue: JobQueue

    def __init__(self, *, queue: JobQueue, derivatives: Derivatives, concurrency: int, grace_seconds: float) -> None:
        super().__init__(
            queue,
            [(FUNCTION, self.make_derivatives)],
            concurrency=concurrency,
            dequeue_timeout=DEQUEUE_SECONDS,
            after_process=self.count,
        )
        self._derivatives = derivatives
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

    async def upkeep(self) -> list[asyncio.Task[None]]:
        """Begin what a worker does besides jobs; it goes on until `stop` has seen the last of them."""
        duties: tuple[tuple[Callable[[], Awaitable[object]], float], ...] = (
            (self.beat, BEAT_SECONDS),
            (self.sweep, SWEEP_SECONDS),
            (self.schedule, LOOK_SECONDS),
            (partial(self.abort, LOOK_SECONDS), LOOK_SECONDS),
            (self.worker_info, REPORT_SECONDS),
        )
        return [asyncio.create_task(_repeat(duty, seconds)) for duty, seconds in duties]

    async def beat(self) -> None:
        """Show on each job that its worker lives; let go of those that are not its any more."""
        for job, running in list(self.job_task_contexts.items()):
            if not await self.queue.touch(job) and not running["task"].done():
                log.warning("job_lost", job_id=job.key, attempt=job.attempts)
                running["task"].cancel()

    async def sweep(self) -> None:
        """Take jobs from workers that went silent; after an outage of the queue, let all of them beat first."""
        try:
            taken_over = await self.queue.sweep()
        except QueueUnavailable:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            raise
        if taken_over:
            metrics.jobs_taken_over_total.inc(len(taken_over))
            log.warning("jobs_taken_over", jobs=taken_over)

    async def process(self) -> bool:
        """Take a job and work it; one that the queue would hear nothing more of is taken over in a while."""
        try:
            return await super().process()
        except QueueUnavailable as trouble:
            log.warning("job_left", detail=str(trouble))
            return False

    async def make_derivatives(self, context: Context, **order: object) -> object:
        """Make what a job asks for; its outcome is kept in the queue as long as the job is."""
        job = context["job"]
        wanted = msgspec.convert(order, Order)
        with structlog.contextvars.bound_contextvars(
            job_id=job.key, key=wanted.key, attempt=job.attempts, request_id=job.meta.get("request_id", "")
        ):
            started = time.perf_counter()
            log.info("job_started")
            try:
                made = await self._derivatives.make_all(
                    wanted.key, wanted.sizes, remake="all" if wanted.force else "stale"
                )
            except (Refused, ImagesError) as fault:
                return msgspec.to_builtins(Outcome(error=_give_up(job, fault)))
            log.info("job_done", seconds=round(time.perf_counter() - started, 3), sizes=len(made.derivatives))
            return msgspec.to_builtins(Outcome(derivatives=made.derivatives))

    async def count(self, context: Context) -> None:
        """Count a job that has ended."""
        job = context["job"]
        if not job.completed:
            return
        ended_well = job.status == saq.Status.COMPLETE and not (job.result or {}).get("error")
        metrics.jobs_total.labels("done" if ended_well else "error").inc()
        metrics.job_duration_seconds.observe((job.completed - job.queued) / 1000)


async def _repeat(duty: Callable[[], Awaitable[object]], seconds: float) -> None:
    while True:
        try:
            await duty()
        except QueueUnavailable:
            pass  # whoever asks for jobs tells of it, once
        except Exception:
            log.exception("upkeep_failed")
        await asyncio.sleep(seconds)


def _give_up(job: saq.Job, fault: Refused | ImagesError) -> Fault:
    patience = next((PATIENCE[kind] for kind in PATIENCE if isinstance(fault, kind)), None)
    tries = job.meta.setdefault("tries", {})  # not `attempts`: a machine that dies costs one of those too
    tries[fault.code] = tries.get(fault.code, 0) + 1
    if patience and tries[fault.code] < patience.attempts:
        job.retry_delay, job.retry_backoff = patience.delay(tries[fault.code]), False
        log.warning("job_put_off", code=fault.code, detail=str(fault))
        raise TryAgain(f"{fault.code}: {fault}") from None
    log.warning("job_failed", code=fault.code, detail=str(fault))
    return Fault(code=fault.code, detail=str(fault))
