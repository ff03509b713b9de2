"""What no request and no job shows, looked at again and again for the series."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import structlog

from proxy import metrics
from proxy.errors import ImagesError
from proxy.system import cgroups

if TYPE_CHECKING:
    from proxy.jobs.service import JobService
    from proxy.observability.readiness import Readiness

log = structlog.get_logger(__name__)

QUEUE_SECONDS = 1.0
"""How often the length of the queue is read."""

READY_SECONDS = 15.0
"""How often every part is tried: as often as a platform asks, and as Prometheus does."""


def observe_memory() -> None:
    """Have the series of memory read off the kernel whenever somebody asks for them."""
    metrics.resident_bytes.labels("web").set_function(cgroups.own_bytes)
    metrics.resident_bytes.labels("render").set_function(cgroups.render_bytes)
    metrics.memory_used_bytes.set_function(lambda: cgroups.memory_usage().used)
    metrics.memory_limit_bytes.set_function(lambda: cgroups.memory_usage().limit)


async def watch_queue(jobs: JobService, *, every_seconds: float = QUEUE_SECONDS) -> None:
    """Read the length of the queue until cancelled; what cannot be read is told once."""
    is_told = False
    while True:
        depth, oldest_seconds = math.nan, math.nan  # rather than what was true before
        try:
            depth, oldest_seconds, _ = await jobs.waiting()
            is_told = False
        except ImagesError as fault:
            if not is_told:
                log.warning("queue_not_read", detail=str(fault))
            is_told = True
        except Exception:
            log.exception("queue_not_read")
        metrics.queue_depth.set(depth)
        metrics.queue_oldest_seconds.set(oldest_seconds)
        await asyncio.sleep(every_seconds)


async def watch_readiness(readiness: Readiness, *, every_seconds: float = READY_SECONDS) -> None:
    """Try every part until cancelled, also where nobody asks `/readyz`, such as beside a worker."""
    while True:
        try:
            await readiness.check()
        except Exception:
            log.exception("readiness_not_checked")
        await asyncio.sleep(every_seconds)
