"""Signed requests without a body, each of which acts once: who has seen one may send it again for some minutes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from proxy.concurrency.singleflight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.queues.base import JobQueue

KEPT_SECONDS: Final = 900.0
"""How long a result is kept: a signature is valid for 5 minutes before and after its time, and clocks differ."""


class HandledMessages:
    """The messages that acted already, with their results, in the queue that all machines share."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._flights: SingleFlight[str] = SingleFlight()

    async def once(self, message_id: str | None, *, what: str, act: Callable[[], Awaitable[str]]) -> str:
        """Return the result of `act`, or its earlier result if the message has done `what` before.

        If `act` fails, the message may act again. Without a message id, every request acts.

        Raises:
            QueueUnavailable: the queue cannot be read or written.
        """
        if not message_id:
            return await act()
        name = _name(message_id, what)
        return await self._flights.run(name, lambda: self._once(name, act))

    async def earlier(self, message_id: str, *, what: str) -> str | None:
        """Return the result that a message had when it did `what`; None if it has not done it.

        Raises:
            QueueUnavailable: the queue cannot be read.
        """
        return await self._queue.recall(_name(message_id, what))

    async def record(self, message_id: str, *, what: str, result: str, seconds: float = KEPT_SECONDS) -> None:
        """Record that a message has done `what`; the first result counts, and is kept for `seconds`.

        Raises:
            QueueUnavailable: the queue cannot be written.
        """
        await self._queue.remember(_name(message_id, what), result, seconds=seconds)

    async def _once(self, name: str, act: Callable[[], Awaitable[str]]) -> str:
        if (known := await self._queue.recall(name)) is not None:
            return known
        return await self._queue.remember(name, await act(), seconds=KEPT_SECONDS)


def _name(message_id: str, what: str) -> str:
    return "message:" + hashlib.sha256(f"{what}\n{message_id}".encode()).hexdigest()
