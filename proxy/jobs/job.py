"""A job as clients see it: its status, the outcome of each size, and its error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from saq import Status as QueueStatus

from proxy.concurrency.timings import Timings
from proxy.derivatives.picture.picture import PictureDescription, picture_of
from proxy.derivatives.recipe import Derivative
from proxy.jobs.request import JobRequest
from proxy.jobs.takedown.receipt import TakedownReceipt
from proxy.webhooks.delivery import CallbackState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from saq import Job as QueuedJob

    from proxy.derivatives.recipe import Recipe
    from proxy.keys.addresses import PublicAddresses


TAKE_DOWN = "take_down"
"""The name of the worker's function in the queue that takes originals down.

A version without it sets such jobs aside for one that has it.
"""

ABANDONED = "abandoned"
"""The error code of a job that no worker completed: it timed out or crashed at every attempt, or was aborted."""

CANCELLED = "cancelled"
"""The error code of a job that was cancelled on request."""

CANCEL_REQUEST = "cancelled on request"
"""How the queue records that an abort was requested by `JobControl.cancel`; a sweep records something else."""

Status = Literal["queued", "processing", "done", "error"]
SizeStatus = Literal["waiting", "done", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """An error: a stable code, and a message with the remedy."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRetry:
    """Why the last attempt of a job failed, and when the next one starts."""

    at: datetime
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOutcome:
    """The status of one size of a job."""

    size: str
    status: SizeStatus


class JobDerivative(msgspec.Struct, frozen=True, kw_only=True):
    """A derivative of a job with its public URL; lengths are in pixels and bytes."""

    size: str
    key: str
    url: str
    width: int
    height: int
    bytes: int
    content_type: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as clients see it, in responses and in callbacks. Times are None until they are known.

    `error` is why a job failed. `retry` is set while a job waits for a retry, and holds the last failure. `picture` is
    what `GET /v1/images/<key>` returns, once the job is done; None if a size did not exist then. `takedown` is what a
    takedown has removed so far; None for any other job. `callback` is None if the job has none, and in the callback
    itself.
    """

    id: str
    key: str
    status: Status
    attempts: int
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    sizes: tuple[SizeOutcome, ...]
    derivatives: tuple[JobDerivative, ...]
    picture: PictureDescription | None = None
    takedown: TakedownReceipt | None = None
    timings: Timings | None
    retry: ScheduledRetry | None
    error: JobError | None
    callback: CallbackState | None = None


class JobMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What the service keeps with a job: the request that created it, the messages that ran it again, its failures.

    `tries` counts the failed attempts by error code.
    """

    request_id: str = ""
    replays: tuple[str, ...] = ()
    tries: dict[str, int] = {}


class JobOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of an attempt, which the worker stores in the queue.

    `others` has the derivatives of the sizes that the job was not for, once it is done.
    `retry_at` is the time of the next attempt, in seconds since the epoch; None after the last one. It is stored under
    the name that older versions write and read.
    """

    derivatives: tuple[Derivative, ...] = ()
    others: tuple[Derivative, ...] = ()
    error: JobError | None = None
    retry_at: float | None = msgspec.field(default=None, name="put_off_until")
    takedown: TakedownReceipt | None = None
    timings: Timings | None = None


_STATUSES: dict[QueueStatus, Status] = {
    QueueStatus.NEW: "queued",
    QueueStatus.QUEUED: "queued",
    QueueStatus.ACTIVE: "processing",
    QueueStatus.ABORTING: "processing",  # stuck: its worker has to abort it, then it is retried
    QueueStatus.COMPLETE: "done",
    QueueStatus.FAILED: "error",
    QueueStatus.ABORTED: "error",
}

KEPT_AS: dict[Status, list[QueueStatus]] = {
    "queued": [QueueStatus.NEW, QueueStatus.QUEUED],
    "processing": [QueueStatus.ACTIVE, QueueStatus.ABORTING],
    "done": [QueueStatus.COMPLETE],
    "error": [QueueStatus.COMPLETE, QueueStatus.FAILED, QueueStatus.ABORTED],
}
"""Job status -> the statuses that its job may have in the queue.

In the queue, a job that its worker finished with an error is complete as well.
"""


def check_stored(queued: QueuedJob) -> None:
    """Raise unless the request, the outcome and the metadata of a stored job can be read.

    Raises:
        ValueError: one of them cannot be read, as a newer version may have written it.
    """
    msgspec.convert(queued.kwargs, JobRequest)
    msgspec.convert(queued.result or {}, JobOutcome)
    msgspec.convert(queued.meta, JobMeta)


def status_of(queued: QueuedJob) -> Status:
    """Return the status of a queued job as clients see it."""
    ended_badly = queued.status == QueueStatus.COMPLETE and (queued.result or {}).get("error")
    return "error" if ended_badly else _STATUSES[queued.status]


def read_job(queued: QueuedJob, *, key: str, wanted: Sequence[str], recipe: Recipe, addresses: PublicAddresses) -> Job:
    """Return a queued job as clients see it; `wanted` are the sizes that it renders of the original `key`."""
    outcome = msgspec.convert(queued.result or {}, JobOutcome)
    status = status_of(queued)
    return Job(
        id=queued.key,
        key=key,
        status=status,
        attempts=queued.attempts,
        created_at=_time(queued.queued / 1000),
        started_at=_time(queued.started / 1000),
        finished_at=_time(queued.completed / 1000),
        sizes=_sizes(status, wanted, made=[one.size for one in outcome.derivatives]),
        derivatives=tuple(_derivative(made, addresses) for made in outcome.derivatives),
        picture=_picture(key, outcome, recipe, addresses) if status == "done" else None,
        takedown=(outcome.takedown or TakedownReceipt()) if queued.function == TAKE_DOWN else None,
        timings=outcome.timings,
        retry=_scheduled_retry(outcome) if status == "queued" else None,
        error=_error(queued, outcome) if status == "error" else None,
    )


def _derivative(made: Derivative, addresses: PublicAddresses) -> JobDerivative:
    return JobDerivative(
        size=made.size,
        key=made.key,
        url=addresses.of(made.key, made.version),
        width=made.width,
        height=made.height,
        bytes=made.bytes,
        content_type=made.content_type,
    )


def _picture(key: str, outcome: JobOutcome, recipe: Recipe, addresses: PublicAddresses) -> PictureDescription | None:
    """Return the picture, if the job found all of today's sizes and knows the summary: older versions stored none."""
    found = {one.size: one for one in (*outcome.derivatives, *outcome.others)}
    names = recipe.names_of(key)
    if not found.keys() >= {*names} or not any(one.summary for one in found.values()):
        return None
    derivatives = [found[size] for size in names]
    return picture_of(key, derivatives, recipe.sizes_of(key), addresses=addresses)


def _sizes(status: Status, wanted: Sequence[str], *, made: Sequence[str]) -> tuple[SizeOutcome, ...]:
    if status == "done":  # the recipe may have gained sizes since
        return tuple(SizeOutcome(size=size, status="done") for size in made)
    unmade: SizeStatus = "error" if status == "error" else "waiting"
    return tuple(SizeOutcome(size=size, status="done" if size in made else unmade) for size in wanted)


def _scheduled_retry(outcome: JobOutcome) -> ScheduledRetry | None:
    at = _time(outcome.retry_at or 0)
    if at is None or outcome.error is None:
        return None
    return ScheduledRetry(at=at, code=outcome.error.code, detail=outcome.error.detail)


def is_cancelled(queued: QueuedJob) -> bool:
    """Return whether a job has ended because it was cancelled on request."""
    return queued.status == QueueStatus.ABORTED and queued.error == CANCEL_REQUEST


def error_code(queued: QueuedJob) -> str | None:
    """Return the code of the error with which a job ended, or for which it waits for a retry; None if it has none."""
    if queued.status == QueueStatus.COMPLETE:
        error: dict[str, str] = (queued.result or {}).get("error") or {}  # not converted: lists ask it of many jobs
        return error.get("code")
    outcome = msgspec.convert(queued.result or {}, JobOutcome)
    if status_of(queued) == "error":
        return _error(queued, outcome).code
    return outcome.error.code if outcome.error and status_of(queued) == "queued" else None


def _error(queued: QueuedJob, outcome: JobOutcome) -> JobError:
    if queued.status == QueueStatus.COMPLETE and outcome.error:
        return outcome.error
    if is_cancelled(queued):
        return JobError(code=CANCELLED, detail="The job was cancelled on request. Replay it to run it.")
    last = f" Last error: {outcome.error.detail}" if outcome.error else ""
    return JobError(
        code=ABANDONED,
        detail=f"The job was abandoned after {queued.attempts} attempts.{last} Replay it to try again; the service's "
        f"log has the cause under job_id {queued.key}.",
    )


def _time(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, tz=UTC) if seconds else None
