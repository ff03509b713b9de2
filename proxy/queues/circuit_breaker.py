"""The one door to a server that keeps jobs: what goes wrong behind it becomes ours."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import structlog

from proxy import metrics
from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

OPEN_SECONDS = 1.0
"""How long nobody tries a server that has just not answered.

Posts are taken one after another, so each would wait for as long as the server may take.
"""


class CircuitBreaker:
    """Turns `errors` of the client of `server` into ours; those that are `unreachable` mean that it cannot be reached.

    Unless they are `denied`: then the address is the operator's to mend.

    The client's own sentences are told: they name addresses and users, never passwords.
    """

    def __init__(
        self,
        server: str,
        *,
        errors: type[Exception],
        unreachable: tuple[type[Exception], ...],
        passed_through: tuple[type[Exception], ...] = (),
        denied: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self._server = server
        self._errors = errors
        self._unreachable = unreachable
        self._passed_through = passed_through
        self._denied = denied
        self._open_until = 0.0
        self._why = ""

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Go through within the block.

        Raises:
            QueueUnavailable: the server did not do what was asked, or did not answer a moment ago.
        """
        if time.monotonic() < self._open_until:
            raise QueueUnavailable(self._why)
        try:
            yield
        except self._passed_through:
            raise
        except self._errors as error:
            said = " ".join(str(error).split())
            if isinstance(error, self._unreachable):
                state = "lets nobody in like that" if self._denied(error) else "does not answer"
                self._why = f"{self._server} {state}: {said}"
                self._open_until = time.monotonic() + OPEN_SECONDS
                raise QueueUnavailable(self._why) from error
            raise QueueUnavailable(f"{self._server} will not do it: {said}") from error


log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
"""How long a worker rests when its queue fails it, before it asks again."""

RECOVERY_SECONDS = 10.0
"""A queue is back when nothing has failed for so long: some of SAQ's ways to ask end well without asking anybody."""


class OutageGuard:
    """Tells once when a queue is lost, once when it is back, however many workers ask meanwhile."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0

    @asynccontextmanager
    async def pausing(self) -> AsyncIterator[None]:
        """Let an error of the queue out of the block after a rest only."""
        try:
            yield
        except QueueUnavailable as trouble:
            self._last = time.monotonic()
            if self._first is None:
                self._first = self._last
                metrics.queue_outages_total.inc()
                log.warning("queue_lost", detail=str(trouble))
            await asyncio.sleep(PAUSE_SECONDS)
            raise
        if self._first is not None and time.monotonic() - self._last > RECOVERY_SECONDS:
            log.info("queue_back", seconds=round(self._last - self._first, 1))
            self._first = None
