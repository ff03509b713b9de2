"""A job as callers see it, in answers and in callbacks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import msgspec

from proxy.derivatives.recipe import Derivative
from proxy.jobs.job import Job, JobError, JobTimings, ScheduledRetry, SizeOutcome, Status
from proxy.keys.syntax import url


class ShownDerivative(msgspec.Struct, frozen=True, kw_only=True):
    """A derivative of a job; lengths in pixels and bytes."""

    size: str
    key: str
    url: str
    width: int
    height: int
    bytes: int
    content_type: str


class ShownJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as callers see it."""

    id: str
    key: str
    status: Status
    attempts: int
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    sizes: tuple[SizeOutcome, ...]
    derivatives: list[ShownDerivative]
    timings: JobTimings | None
    put_off: ScheduledRetry | None
    error: JobError | None


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a callback, in the shape that the Standard Webhooks scheme recommends."""

    type: str
    timestamp: datetime | None
    data: ShownJob


class ShownPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some jobs, newest first; the address of the next page if there is one.

    `complete` is false where so many jobs are kept that only some of them were looked at.
    """

    jobs: list[ShownJob]
    next: str | None
    complete: bool


def shown(job: Job, public_base_url: str) -> ShownJob:
    """Show a job, each derivative with the address at which browsers read it."""
    return ShownJob(
        id=job.id,
        key=job.key,
        status=job.status,
        attempts=job.attempts,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        sizes=job.sizes,
        derivatives=[_shown(made, public_base_url) for made in job.derivatives],
        timings=job.timings,
        put_off=job.put_off,
        error=job.error,
    )


def announcement(job: Job, public_base_url: str) -> str:
    """Tell in JSON that a job has ended, and how."""
    event = Announcement(type=f"job.{job.status}", timestamp=job.finished_at, data=shown(job, public_base_url))
    return msgspec.json.encode(event).decode()


def _shown(made: Derivative, public_base_url: str) -> ShownDerivative:
    return msgspec.convert({**asdict(made), "url": url(public_base_url, made.key)}, ShownDerivative)
