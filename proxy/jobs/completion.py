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

    Its id combines the job's id and creation time, so a job that is run again gets another callback.
    """
    body = msgspec.json.encode(JobEvent(type=f"job.{job.status}", timestamp=job.finished_at, data=job))
    run = round(created_at.timestamp() * 1000)
    return Callback(id=f"{job.id}-{run}", url=callback_url, body=body.decode())
