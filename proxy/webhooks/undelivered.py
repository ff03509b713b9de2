"""The callbacks that are not delivered: due to their receivers, or given up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from saq.job import Status

from proxy.webhooks.delivery import read_state
from proxy.webhooks.outbox import DELIVER

if TYPE_CHECKING:
    from proxy.queues.base import JobQueue
    from proxy.webhooks.delivery import CallbackState

MOST_READ: Final = 1000
"""How many callbacks are read, the newest first where the queue has that order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeliveredCallback:
    """A callback that is not delivered, and the job that it is about."""

    job_id: str
    state: CallbackState


async def undelivered_callbacks(queue: JobQueue | None, *, limit: int) -> list[UndeliveredCallback]:
    """Return up to `limit` callbacks that are not delivered; none without a queue of callbacks."""
    found: list[UndeliveredCallback] = []
    if queue is None:
        return found
    read = 0
    async for callback in queue.iter_newest(list(Status)):
        read += 1
        if callback.function == DELIVER:
            state = read_state(str((callback.kwargs or {}).get("url", "")), callback)
            if state.status != "delivered":
                found.append(UndeliveredCallback(job_id=_job_id(callback.key), state=state))
        if len(found) == limit or read == MOST_READ:
            break
    return found


def _job_id(key: str) -> str:
    """Return the id of the job in the key of a callback, `callback:<job id>-<milliseconds>`."""
    return key.partition(":")[2].partition("-")[0]
