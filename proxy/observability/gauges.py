"""Background tasks for the metrics that neither requests nor jobs update."""

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
"""How often readiness is checked: as often as platforms and Prometheus poll."""


def observe_memory() -> None:
    """Register the memory metrics, which are read from the kernel at every scrape."""
    metrics.resident_bytes.labels("web").set_function(cgroups.own_bytes)
    metrics.resident_bytes.labels("render").set_function(cgroups.render_bytes)
    metrics.memory_used_bytes.set_function(lambda: cgroups.memory_usage().used)
    metrics.memory_limit_bytes.set_function(lambda: cgroups.memory_usage().limit)


async def watch_queue(jobs: JobService, *, every_seconds: float = QUEUE_SECONDS) -> None:
    """Update the queue metrics until cancelled; repeated failures to read the queue are logged once."""
    is_logged = False
    while True:
        depth, oldest_seconds = math.nan, math.nan  # instead of outdated values
        try:
            depth, oldest_seconds, _ = await jobs.waiting()
            is_logged = False
        except ImagesError as fault:
            if not is_logged:
                log.warning("queue_status_failed", detail=str(fault))
            is_logged = True
        except Exception:
            log.exception("queue_status_failed")
        metrics.queue_depth.set(depth)
        metrics.queue_oldest_seconds.set(oldest_seconds)
        await asyncio.sleep(every_seconds)


async def watch_readiness(readiness: Readiness, *, every_seconds: float = READY_SECONDS) -> None:
    """Check readiness until cancelled, for processes in which no client requests `/readyz`, such as workers."""
    while True:
        try:
            await readiness.check()
        except Exception:
            log.exception("readiness_check_failed")
        await asyncio.sleep(every_seconds)
