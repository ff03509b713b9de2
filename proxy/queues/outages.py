"""The rest of workers that a queue fails: SAQ's ask again at once, and would spin without a word."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from proxy import metrics
from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger(__name__)

REST_SECONDS = 1.0
"""How long a worker rests when its queue fails it, before it asks again."""

QUIET_SECONDS = 10.0
"""A queue is back when nothing has failed for so long: some of SAQ's ways to ask end well without asking anybody."""


class Outages:
    """Tells once when a queue is lost, once when it is back, however many workers ask meanwhile."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0

    @asynccontextmanager
    async def rested(self) -> AsyncIterator[None]:
        """Let an error of the queue out of the block after a rest only."""
        try:
            yield
        except QueueUnavailable as trouble:
            self._last = time.monotonic()
            if self._first is None:
                self._first = self._last
                metrics.queue_outages_total.inc()
                log.warning("queue_lost", detail=str(trouble))
            await asyncio.sleep(REST_SECONDS)
            raise
        if self._first is not None and time.monotonic() - self._last > QUIET_SECONDS:
            log.info("queue_back", seconds=round(self._last - self._first, 1))
            self._first = None
