"""The callback that reports the end of a job."""

from __future__ import annotations

from datetime import datetime

import msgspec

from proxy.jobs.job import Job
from proxy.webhooks.outbox import Callback


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a callback, in the format that the Standard Webhooks scheme recommends."""

    type: str
    timestamp: datetime | None
    data: Job


def callback_for(job: Job, callback_url: str, *, created_at: datetime) -> Callback:
    """Return the callback about a job that has ended.

    See `callback_id` for its id.
    """
    kind = "job" if job.takedown is None else "takedown"
    body = msgspec.json.encode(JobEvent(type=f"{kind}.{job.status}", timestamp=job.finished_at, data=job))
    return Callback(id=callback_id(job.id, created_at), url=callback_url, body=body.decode())


def callback_id(job_id: str, created_at: datetime) -> str:
    """Return the id of the callback about a job, which also depends on when the job was created or last run again."""
    return f"{job_id}-{round(created_at.timestamp() * 1000)}"
