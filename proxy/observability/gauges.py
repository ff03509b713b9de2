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
    from proxy.jobs.control import JobControl
    from proxy.jobs.service import JobService
    from proxy.observability.readiness import Readiness

log = structlog.get_logger(__name__)

QUEUE_SECONDS = 5.0
"""How often the length of the queue is read: several times between two scrapes of Prometheus."""

READY_SECONDS = 30.0
"""How often readiness is checked, if no platform requests it: each check writes to the store and renders."""


def observe_memory() -> None:
    """Register the memory metrics, which are read from the kernel at every scrape."""
    metrics.resident_bytes.labels("web").set_function(cgroups.own_bytes)
    metrics.resident_bytes.labels("render").set_function(cgroups.render_bytes)
    metrics.memory_used_bytes.set_function(lambda: cgroups.memory_usage().used)
    metrics.memory_limit_bytes.set_function(lambda: cgroups.memory_usage().limit)


async def watch_queue(jobs: JobService, control: JobControl, *, every_seconds: float = QUEUE_SECONDS) -> None:
    """Update the queue metrics until cancelled; repeated failures to read the queue are logged once."""
    is_logged = is_paused = False
    while True:
        depth, oldest_seconds, deferred, paused = (math.nan,) * 4  # instead of outdated values
        try:
            depth, oldest_seconds, _ = await jobs.waiting()
            deferred = await jobs.deferred()
            is_paused = await _watch_pause(control, was_paused=is_paused)
            paused = float(is_paused)
            is_logged = False
        except ImagesError as fault:
            if not is_logged:
                log.warning("queue_status_failed", detail=str(fault))
            is_logged = True
        except Exception:
            log.exception("queue_status_failed")
        metrics.queue_depth.set(depth)
        metrics.queue_oldest_seconds.set(oldest_seconds)
        metrics.queue_deferred.set(deferred)
        metrics.queue_paused.set(paused)
        await asyncio.sleep(every_seconds)


async def _watch_pause(control: JobControl, *, was_paused: bool) -> bool:
    """Return whether the queue is paused, and log it if that has changed, on any machine."""
    since = await control.paused_since()
    if since is not None and not was_paused:
        log.warning("queue_paused", since=since.isoformat(timespec="seconds"))
    if since is None and was_paused:
        log.info("queue_resumed")
    return since is not None


async def watch_readiness(readiness: Readiness, *, every_seconds: float = READY_SECONDS) -> None:
    """Check readiness until cancelled, for processes in which no client requests `/readyz`, such as workers."""
    while True:
        try:
            await readiness.check()
        except Exception:
            log.exception("readiness_check_failed")
        await asyncio.sleep(every_seconds)
