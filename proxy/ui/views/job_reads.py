"""Reads jobs for pages, with the lengths of their originals."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import StoreError
from proxy.stores.base import UNKNOWN_LENGTH
from proxy.ui.views.job_view import job_view

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
    keys = [one.key for one in job.derivatives]
    try:
        original, *blobs = await asyncio.gather(
            *(PageTimeouts().lookup(parts.store.head(key)) for key in (job.key, *keys))
        )
    except StoreError:  # the job itself does not depend on the store
        return job_view(job)
    length = original.bytes if original and original.bytes != UNKNOWN_LENGTH else 0
    there = {key for key, blob in zip(keys, blobs, strict=True) if blob}
    return job_view(job, original_bytes=length, there=there)
