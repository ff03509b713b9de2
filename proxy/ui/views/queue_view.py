"""The queue as pages show it: what waits, since when it is paused, and which jobs failed for the same cause."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.webhooks.undelivered import undelivered_callbacks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from proxy.ui.parts import Parts
    from proxy.webhooks.undelivered import UndeliveredCallback


MOST_CALLBACKS: Final = 20
"""How many callbacks a page lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """The state of the queue that all machines share."""

    waiting: int
    oldest_seconds: float
    workers: int
    paused_since: datetime | None
    causes: Sequence[tuple[str, int]]
    """The error codes of the newest failed jobs, and how many have each, the most frequent first."""
    callbacks: Sequence[UndeliveredCallback]
    """Callbacks that are not delivered: due, or given up."""


async def read_queue_view(parts: Parts) -> QueueView:
    """Return the state of the queue.

    Raises:
        QueueUnavailable: it cannot be read.
    """
    waiting, paused_since, causes, callbacks = await asyncio.gather(
        parts.jobs.waiting(),
        parts.control.paused_since(),
        parts.listing.causes(),
        undelivered_callbacks(parts.callback_queue, limit=MOST_CALLBACKS),
    )
    return QueueView(
        waiting=waiting.jobs,
        oldest_seconds=waiting.oldest_seconds,
        workers=waiting.workers,
        paused_since=paused_since,
        causes=causes.most_common(),
        callbacks=callbacks,
    )
