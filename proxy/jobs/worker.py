"""The job worker: renders derivatives, reports failures, and retries transient ones later."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeGuard

import msgspec
import saq
import structlog

from pipeline.errors import Refused
from proxy.concurrency.admission import Priority
from proxy.derivatives.results import GenerationResult
from proxy.errors import (
    ImagesError,
    RefusedForAll,
    StoreError,
    StoreUnavailable,
    TakenDown,
    UnexpectedError,
    UnfitKey,
    public_message,
)
from proxy.jobs.completion import count_end
from proxy.jobs.job import ABANDONED, TAKE_DOWN, JobError, JobOutcome, is_cancelled
from proxy.jobs.joins import close
from proxy.jobs.request import JobRequest
from proxy.jobs.retry_policies import MOST_DEFERRED, RETRY_POLICIES, count_try, unexpected
from proxy.jobs.service import FUNCTION
from proxy.queues.base import DEFERRED, DEQUEUE_SECONDS
from proxy.queues.worker import QueueWorker, RetryLater, do_not_count
from proxy.system.failpoints import reached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from saq.types import Context

    from proxy.derivatives.picture.lookups import Pictures
    from proxy.derivatives.recipe import Derivative
    from proxy.derivatives.results import Remake
    from proxy.derivatives.service import DerivativeService
    from proxy.queues.base import JobQueue
    from proxy.stores.probe.gate import StoreGate

log = structlog.get_logger(__name__)

ATTEMPTS_AGAINST_REFUSALS = 2
"""How often an attempt runs if the store refuses it, perhaps for its key alone, and then passes the write probe."""


class Takedown(Protocol):
    """What knows which originals were taken down, and takes them down; see `proxy.removal`."""

    async def is_taken_down(self, original: str) -> bool:
        """Return whether an original was taken down."""
        ...

    async def remove_derivatives(self, original: str) -> None:
        """Remove what a render has left of an original that was taken down."""
        ...

    async def take_down(self, context: Context, **request: object) -> object:
        """Run a takedown, and return its outcome, which the queue stores with the job."""
        ...


class JobWorker(QueueWorker):
    """A worker that renders the jobs of a queue until it is stopped."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        derivatives: DerivativeService,
        complete_job: Callable[[str], Awaitable[bool | None]],
        concurrency: int,
        grace_seconds: float,
        store_gate: StoreGate | None = None,
        pictures: Pictures | None = None,
        takedown: Takedown | None = None,
    ) -> None:
        super().__init__(
            queue,
            {FUNCTION: self.make_derivatives} | ({TAKE_DOWN: takedown.take_down} if takedown else {}),
            concurrency=concurrency,
            grace_seconds=grace_seconds,
        )
        self._derivatives = derivatives
        self._complete_job = complete_job
        self._store_gate = store_gate
        self._pictures = pictures
        self._takedown = takedown

    async def process(self) -> bool:
        """Take and run one job; while the store refuses everything, take none."""
        if self._store_gate and not await self._store_gate.wait_until_open(seconds=DEQUEUE_SECONDS):
            return False
        return await super().process()

    async def make_derivatives(self, context: Context, **request: object) -> object:
        """Render the derivatives of a job, and return the outcome, which the queue stores with the job."""
        job = context["job"]
        started = time.perf_counter()
        log.info("job_started", waited_seconds=round((job.started - job.queued) / 1000, 3))
        wanted = msgspec.convert(request, JobRequest)
        reached("job-started", wanted.key)
        made = await self._attempt_or_retry(job, wanted, started=started)
        reached("derivatives-made", wanted.key)
        if await close(self.queue, job):  # a post may have brought another original since the last look
            made = await self._attempt_or_retry(job, replace(wanted, force=False), started=started)
        with _bound_timings(made, started=started):
            if made.fault:
                log.warning("job_failed", code=made.fault.code, detail=str(made.fault))
            else:
                log.info("job_done", sizes=len(made.derivatives))
        return msgspec.to_builtins(_outcome(made, others=() if made.fault else await self._others(wanted.key, made)))

    async def _others(self, original: str, made: GenerationResult) -> tuple[Derivative, ...]:
        """Return the derivatives of the sizes that the job was not for, so that its record has the whole picture."""
        if self._pictures is None:
            return ()
        return await self._pictures.others(original, known={one.size for one in made.derivatives})

    async def _attempt_or_retry(self, job: saq.Job, request: JobRequest, *, started: float) -> GenerationResult:
        """Attempt a job, and return the result with which it ends.

        Raises:
            RetryLater: the job was rescheduled, as the fault of this attempt demands.
        """
        made = await self._attempt_while_open(job, request)
        if made.fault:
            with _bound_timings(made, started=started):
                await self._retry_if_due(job, made, made.fault)
        return made

    async def _attempt_while_open(self, job: saq.Job, request: JobRequest) -> GenerationResult:
        """Attempt a job; before it can end because of the store, the write probe decides whose fault that is.

        Raises:
            RetryLater: the store refuses everything, so the job waits, and this attempt does not count.
        """
        for _ in range(ATTEMPTS_AGAINST_REFUSALS):
            made = await self._attempt(request, is_first_attempt=not job.meta.get("tries"))
            if self._store_gate is None or not _ends_by_store(made.fault, job):
                return made
            if (fault := await self._store_gate.judge(made.fault)) is not None:
                raise _held(job, made, fault)
            # The store may have recovered between the refusal and the probe. It surely has if it refused everything;
            # otherwise one more attempt decides.
            if isinstance(made.fault, RefusedForAll):
                raise _held(job, made, made.fault)
        return made

    async def _attempt(self, request: JobRequest, *, is_first_attempt: bool) -> GenerationResult:
        remake: Remake = "all" if request.force else "stale"
        priority = Priority.BATCH if request.batch else Priority.JOB
        takedown = self._takedown
        if takedown and not await takedown.is_taken_down(request.key):
            takedown = None
        try:
            if takedown:
                await takedown.remove_derivatives(request.key)  # of an attempt on a machine that died
                return GenerationResult(fault=TakenDown(request.key))
            return await self._derivatives.generate(
                request.key, request.sizes, remake=remake, priority=priority, clears_failures=is_first_attempt
            )
        except (Refused, ImagesError) as fault:
            return GenerationResult(fault=fault)
        except Exception as error:
            log.exception("unexpected_error")
            return GenerationResult(fault=unexpected(error))

    async def _retry_if_due(self, job: saq.Job, made: GenerationResult, fault: Refused | ImagesError) -> None:
        """Reschedule a job if its fault may pass, with the reason and the time stored in its result.

        Raises:
            RetryLater: the job was rescheduled.
        """
        retry_policy = next((RETRY_POLICIES[kind] for kind in RETRY_POLICIES if isinstance(fault, kind)), None)
        tries = count_try(job, fault.code)
        is_deferred = isinstance(fault, UnexpectedError)
        has_room = not is_deferred or await self.queue.count_deferred() < MOST_DEFERRED
        if retry_policy and tries < retry_policy.attempts and has_room:
            job.priority = DEFERRED if is_deferred else 0
            job.retry_delay, job.retry_backoff = retry_policy.wait_seconds(tries), False
            job.result = msgspec.to_builtins(_outcome(made, retry_at=time.time() + job.retry_delay))
            log.warning(
                "job_retry_scheduled", code=fault.code, detail=str(fault), retry_in_seconds=round(job.retry_delay, 1)
            )
            raise RetryLater(f"{fault.code}: {fault}") from None

    def log_context(self, job: saq.Job) -> dict[str, object]:
        """Return the fields that every log line about a job contains."""
        key, request_id = (job.kwargs or {}).get("key"), job.meta.get("request_id", "")
        return {**super().log_context(job), "key": key, "request_id": request_id}

    async def on_end(self, job: saq.Job) -> None:
        """Count an ended job, and enqueue its callback if it has one."""
        reached("job-ended", str((job.kwargs or {}).get("key", "")))
        count_end(job)
        if is_cancelled(job):
            log.info("job_cancelled")
        elif job.status != saq.Status.COMPLETE:  # the queue ended it, not `make_derivatives`
            log.error("job_failed", code=ABANDONED, detail=(job.error or "").strip().rpartition("\n")[2])
        if (job.kwargs or {}).get("callback_url"):
            await self._complete_job(job.key)


def _held(job: saq.Job, made: GenerationResult, fault: StoreError) -> RetryLater:
    """Put a job back as it was before this attempt, with the reason in its result."""
    do_not_count(job)
    job.priority = 0  # an earlier unexpected error may have deferred it
    job.result = msgspec.to_builtins(_outcome(replace(made, fault=fault), retry_at=time.time()))
    log.debug("job_held", code=fault.code, detail=str(fault))
    return RetryLater(f"{fault.code}: {fault}")


def _ends_by_store(fault: Refused | ImagesError | None, job: saq.Job) -> TypeGuard[StoreError]:
    """Return whether a job would end now because the store failed, not because of its own key."""
    if isinstance(fault, StoreUnavailable):
        tries: int = job.meta.get("tries", {}).get(fault.code, 0)
        return tries + 1 >= RETRY_POLICIES[StoreUnavailable].attempts
    return isinstance(fault, StoreError) and not isinstance(fault, UnfitKey)


def _bound_timings(made: GenerationResult, *, started: float) -> AbstractContextManager[object]:
    """Add the durations of a job that `started` then, in seconds, to the log lines of the block."""
    return structlog.contextvars.bound_contextvars(
        seconds=round(time.perf_counter() - started, 3),
        store_seconds=round(made.timings.store_seconds, 3),
        wait_seconds=round(made.timings.wait_seconds, 3),
        render_seconds=round(made.timings.render_seconds, 3),
    )


def _outcome(
    made: GenerationResult, *, others: tuple[Derivative, ...] = (), retry_at: float | None = None
) -> JobOutcome:
    return JobOutcome(
        derivatives=made.derivatives,
        others=others,
        error=JobError(code=made.fault.code, detail=public_message(made.fault)) if made.fault else None,
        retry_at=retry_at,
        timings=made.timings,
    )
