"""Reads jobs for pages, with what the store has of their pictures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import BadKey, StoreError
from proxy.ui.views.job_view import job_view
from proxy.ui.views.picture_view import read_picture

if TYPE_CHECKING:
    from proxy.ui.parts import Parts
    from proxy.ui.views.job_view import JobView


async def read_job_view(parts: Parts, job_id: str) -> JobView:
    """Return a job as its page shows it.

    Raises:
        UnknownJob, QueueUnavailable: see `JobService.get`.
    """
    job = await parts.jobs.get(job_id)
    if not job.derivatives:
        return job_view(job)
    try:
        picture = await read_picture(parts, job.key)
        there = {one.key for one in picture.sizes}
        others = [one.key for one in job.derivatives if one.key not in there]  # deleted, or of an older sizes file
        blobs = await asyncio.gather(*(PageTimeouts().lookup(parts.store.head(key)) for key in others))
    except (StoreError, BadKey):  # the job itself does not depend on the store, nor on today's layout
        return job_view(job)
    return job_view(job, picture=picture, there={*there, *(blob.key for blob in blobs if blob)})
