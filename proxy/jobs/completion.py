"""What the end of a job causes: it is counted, and reported by a callback."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from proxy import metrics
from proxy.jobs.job import CANCELLED, TAKE_DOWN, Job, is_cancelled, status_of
from proxy.webhooks.outbox import Callback

if TYPE_CHECKING:
    from saq import Job as QueuedJob


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a callback, in the format that the Standard Webhooks scheme recommends."""

    type: str
    timestamp: datetime | None
    data: Job


def count_end(queued: QueuedJob) -> None:
    """Count a job that has ended; takedowns are counted apart, as they may last for a day."""
    ended_as = CANCELLED if is_cancelled(queued) else status_of(queued)
    if queued.function == TAKE_DOWN:
        metrics.takedowns_total.labels(ended_as).inc()
    else:
        metrics.jobs_total.labels(ended_as).inc()
        metrics.job_duration_seconds.observe((queued.completed - queued.queued) / 1000)


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
