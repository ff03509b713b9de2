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


class Outages:
    """Tells once when a queue is lost, once when it is back, however many workers ask meanwhile."""

    def __init__(self) -> None:
        self._since: float | None = None

    @asynccontextmanager
    async def rested(self) -> AsyncIterator[None]:
        """Let an error of the queue out of the block after a rest only."""
        try:
            yield
        except QueueUnavailable as trouble:
            if self._since is None:
                self._since = time.monotonic()
                metrics.queue_outages_total.inc()
                log.warning("queue_lost", detail=str(trouble))
            await asyncio.sleep(REST_SECONDS)
            raise
        if self._since is not None:
            log.info("queue_back", seconds=round(time.monotonic() - self._since, 1))
            self._since = None
