"""What a job is: "make every derivative of this original", safe in a queue until it ends."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog
from saq import Status as QueueStatus

from proxy.errors import BadOrder, Busy, UnknownJob, UnknownSize
from proxy.recipe import Derivative

if TYPE_CHECKING:
    from saq import Job as QueuedJob
    from saq import Queue

    from proxy.callbacks import Callbacks
    from proxy.recipe import Recipe

log = structlog.get_logger(__name__)

FUNCTION = "make_derivatives"
"""The name under which the queue knows what a worker does."""

TIMEOUT_SECONDS = 900
"""The longest one attempt may take: in line for a slot, downloading, rendering, uploading."""

ATTEMPTS = 40
"""How often a job is begun at most: all that `work.PATIENCE` allows, and ten machines that die under it."""

RETRY_AFTER_SECONDS = 5
"""What a sender that finds the queue full is told: the default queue of 64 empties in about 15 s."""

LIVE_JOBS_READ = 10_000
"""How many live jobs are looked through for one of the same original; far above any sensible QUEUE_SIZE."""

Status = Literal["queued", "processing", "done", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for: derivatives of an original, `sizes` of them or all; with `force` also those that are fresh.

    `callback_url` is told when the job has ended; empty is nobody.
    """

    key: str
    sizes: tuple[str, ...] = ()
    force: bool = False
    callback_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a job ended without derivatives: a stable code and a sentence that says what to do."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is known of a job. Times are None until they have come."""

    id: str
    key: str
    status: Status
    attempts: int
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    derivatives: tuple[Derivative, ...]
    error: Fault | None
    callback_url: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker leaves in the queue when it is through with a job: derivatives or a fault."""

    derivatives: tuple[Derivative, ...] = ()
    error: Fault | None = None


_STATUSES: dict[QueueStatus, Status] = {
    QueueStatus.NEW: "queued",
    QueueStatus.QUEUED: "queued",
    QueueStatus.ACTIVE: "processing",
    QueueStatus.ABORTING: "processing",  # not over yet: it may be tried again
    QueueStatus.COMPLETE: "done",
}


class Jobs:
    """Takes orders into the queue and tells what became of them."""

    def __init__(
        self, *, queue: Queue, callbacks: Callbacks, recipe: Recipe, queue_size: int, keep_seconds: int
    ) -> None:
        self._queue = queue
        self._callbacks = callbacks
        self._recipe = recipe
        self._queue_size = queue_size
        self._keep_seconds = keep_seconds
        self._submitting = asyncio.Lock()

    async def submit(self, order: Order, *, idempotency_key: str | None = None) -> Job:
        """Take an order; when this returns, the job is on disk.

        The same idempotency key gives the same job for as long as that is kept; an original whose job is live gives
        that job, unless the order wants more than the job will make.

        Raises:
            BadKey, BadOrder, BadCallback: the order is nonsense.
            Busy: as many jobs wait as may.
        """
        try:
            self._recipe.check(order.key, order.sizes)
        except UnknownSize as fault:
            raise BadOrder(str(fault)) from fault
        self._callbacks.check(order.callback_url)
        job_id = _job_id(idempotency_key)
        async with self._submitting:  # so that the bound and the sameness hold for posts that come together
            known = await self._queue.job(job_id) if idempotency_key else None
            known = known or await self._live_job(order)
            return _job(known or await self._enqueue(job_id, order))

    async def get(self, job_id: str) -> Job:
        """Tell what is known of a job.

        Raises:
            UnknownJob: there is none of that id, or it ended too long ago.
        """
        return _job(await self._queued_job(job_id))

    async def replay(self, job_id: str) -> Job:
        """Run a job that has ended once more; one that is live is left alone.

        Raises:
            UnknownJob: there is none of that id, or it ended too long ago.
            Busy: as many jobs wait as may.
        """
        async with self._submitting:
            queued = await self._queued_job(job_id)
            if queued.status in (QueueStatus.NEW, QueueStatus.QUEUED, QueueStatus.ACTIVE):
                return _job(queued)
            return _job(await self._enqueue(job_id, _order(queued)))

    async def waiting(self) -> tuple[int, float]:
        """Tell how many jobs wait, and for how many seconds the oldest has."""
        since = [job["queued"] for job in await self._live_jobs() if job.get("status") == QueueStatus.QUEUED]
        return len(since), time.time() - min(since) / 1000 if since else 0.0

    async def _queued_job(self, job_id: str) -> QueuedJob:
        queued = await self._queue.job(job_id)
        if queued is None:
            raise UnknownJob(f"There is no job {job_id!r}, or it ended more than {self._keep_seconds} s ago.")
        return queued

    async def _live_jobs(self) -> list[dict[str, Any]]:
        return (await self._queue.info(jobs=True, limit=LIVE_JOBS_READ))["jobs"]

    async def _live_job(self, order: Order) -> QueuedJob | None:
        for job in await self._live_jobs():
            if _covers(msgspec.convert(job["kwargs"], Order), order):
                return await self._queue.job(job["key"])
        return None

    async def _enqueue(self, job_id: str, order: Order) -> QueuedJob:
        # Not count("queued"): jobs that were put off until later wait as well.
        waiting = await self._queue.count("incomplete") - await self._queue.count("active")
        if waiting >= self._queue_size:
            raise Busy(
                f"{waiting} jobs wait already, which is as many as may; post again in a moment.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        await self._callbacks.promise(job_id, order.callback_url)
        await self._queue.enqueue(
            FUNCTION,
            key=job_id,
            kwargs=msgspec.to_builtins(order),
            timeout=TIMEOUT_SECONDS,
            retries=ATTEMPTS,
            retry_delay=1.0,
            retry_backoff=60.0,
            ttl=self._keep_seconds,
            meta={"request_id": structlog.contextvars.get_contextvars().get("request_id", "")},
        )
        log.info("job_queued", job_id=job_id, key=order.key)
        return await self._queued_job(job_id)


def _job_id(idempotency_key: str | None) -> str:
    """Make an id that cannot be guessed, or that follows from the idempotency key."""
    if idempotency_key is None:
        return uuid.uuid4().hex
    return hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]


def _order(queued: QueuedJob) -> Order:
    return msgspec.convert(queued.kwargs, Order)


def _covers(live: Order, order: Order) -> bool:
    return (
        live.key == order.key
        and (not live.sizes or (bool(order.sizes) and set(order.sizes) <= set(live.sizes)))
        and (live.force or not order.force)
        and order.callback_url in ("", live.callback_url)
    )


def _job(queued: QueuedJob) -> Job:
    outcome = msgspec.convert(queued.result or {}, Outcome)
    ended_otherwise = queued.status in (QueueStatus.FAILED, QueueStatus.ABORTED)
    error = outcome.error or (_unforeseen(queued) if ended_otherwise else None)
    order = _order(queued)
    return Job(
        id=queued.key,
        key=order.key,
        status="error" if error else _STATUSES[queued.status],
        attempts=queued.attempts,
        created_at=_time(queued.queued),
        started_at=_time(queued.started),
        finished_at=_time(queued.completed),
        derivatives=outcome.derivatives,
        error=error,
        callback_url=order.callback_url,
    )


def _unforeseen(queued: QueuedJob) -> Fault:
    return Fault(
        code="abandoned",
        detail=f"Given up after {queued.attempts} attempts; the log has the cause under job_id {queued.key}.",
    )


def _time(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC) if milliseconds else None
