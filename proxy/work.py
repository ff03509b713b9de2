"""What a worker does with a job: makes the derivatives, or says why not, or tries again later."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import saq
import structlog
from saq.utils import cancel_tasks

from pipeline.errors import Refused
from proxy import metrics
from proxy.errors import DeadlineExceeded, ImagesError, NotFound, ProcessDied, StoreUnavailable
from proxy.jobs import FUNCTION
from proxy.orders import Order
from proxy.outcomes import Fault, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from saq.types import Context

    from proxy.derivatives import Derivatives

log = structlog.get_logger(__name__)

DEQUEUE_SECONDS = 0.5
"""How long a worker waits for a job before it looks whether it should stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often something is tried, and how many seconds lie between two tries: doubling from `first`, to `longest`."""

    attempts: int
    first: float
    longest: float


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

    def __init__(self, *, queue: saq.Queue, derivatives: Derivatives, concurrency: int, grace_seconds: float) -> None:
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


def _give_up(job: saq.Job, fault: Refused | ImagesError) -> Fault:
    patience = next((PATIENCE[kind] for kind in PATIENCE if isinstance(fault, kind)), None)
    if patience and job.attempts < patience.attempts:
        job.retry_delay, job.retry_backoff = patience.first, patience.longest
        log.warning("job_put_off", code=fault.code, detail=str(fault))
        raise TryAgain(f"{fault.code}: {fault}") from None
    log.warning("job_failed", code=fault.code, detail=str(fault))
    return Fault(code=fault.code, detail=str(fault))
