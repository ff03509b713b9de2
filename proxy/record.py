"""A job as callers see it, in answers and in callbacks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import msgspec

from proxy.jobs import Fault, Job, Status
from proxy.keys import url


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
    derivatives: list[ShownDerivative]
    error: Fault | None


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a callback, in the shape that the Standard Webhooks scheme recommends."""

    type: str
    timestamp: datetime | None
    data: ShownJob


def shown(job: Job, public_base_url: str) -> ShownJob:
    """Show a job, each derivative with the address at which browsers read it."""
    derivatives = [
        msgspec.convert({**asdict(made), "url": url(public_base_url, made.key)}, ShownDerivative)
        for made in job.derivatives
    ]
    return msgspec.convert({**asdict(job), "derivatives": derivatives}, ShownJob)


def announcement(job: Job, public_base_url: str) -> str:
    """Tell in JSON that a job has ended, and how."""
    event = Announcement(type=f"job.{job.status}", timestamp=job.finished_at, data=shown(job, public_base_url))
    return msgspec.json.encode(event).decode()
