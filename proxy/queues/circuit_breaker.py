"""A circuit breaker for queue servers, and a guard that logs each outage once."""

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
"""How long the breaker stays open after the server did not answer; calls then fail without contacting it.

Posts are processed one after another. Otherwise each of them would wait for the server's full timeout.
"""


class CircuitBreaker:
    """A circuit breaker around calls to `server`; errors of its client become `QueueUnavailable`.

    `errors` is the base class of the client's errors. The `unreachable` ones open the breaker. If `denied` returns true
    for such an error, the server rejected the login, and the operator has to correct the URL. Errors in
    `passed_through` are raised as they are.

    Messages include the client's own text, which names addresses and users, never passwords.
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
        """Guard the calls to the server within the block.

        Raises:
            QueueUnavailable: the server did not answer, rejected the call, or did not answer within the last
                `OPEN_SECONDS`.
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
                state = "rejected the credentials" if self._denied(error) else "is not responding"
                self._why = f"{self._server} {state}: {said}"
                self._open_until = time.monotonic() + OPEN_SECONDS
                raise QueueUnavailable(self._why) from error
            raise QueueUnavailable(f"{self._server} rejected the call: {said}") from error


log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
"""How long a worker pauses after a queue error before it polls again."""

RECOVERY_SECONDS = 10.0
"""How long a queue has to work without an error to count as recovered.

A single success is not enough: some of SAQ's calls succeed without contacting the server.
"""


class OutageGuard:
    """A guard that logs a queue's outage once and its recovery once, however many workers poll meanwhile."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0

    @asynccontextmanager
    async def pausing(self) -> AsyncIterator[None]:
        """Re-raise the block's `QueueUnavailable` after `PAUSE_SECONDS`; log outage and recovery."""
        try:
            yield
        except QueueUnavailable as trouble:
            self._last = time.monotonic()
            if self._first is None:
                self._first = self._last
                metrics.queue_outages_total.inc()
                log.warning("queue_unavailable", detail=str(trouble))
            await asyncio.sleep(PAUSE_SECONDS)
            raise
        if self._first is not None and time.monotonic() - self._last > RECOVERY_SECONDS:
            log.info("queue_available", outage_seconds=round(self._last - self._first, 1))
            self._first = None
