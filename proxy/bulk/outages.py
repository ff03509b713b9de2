"""Retries while the store, the queue or the disk is unavailable."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from proxy.bulk.events import RetryScheduled
from proxy.concurrency.backoff import RetryPolicy
from proxy.errors import GaveUp, ImagesError, NoRoom, QueueUnavailable, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.bulk.events import Event
    from proxy.bulk.stop import Stop

T = TypeVar("T")

AWAY = (StoreUnavailable, QueueUnavailable, NoRoom)
"""Transient errors of the store, the queue or the disk, not caused by the original."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutagePolicy(RetryPolicy):
    """How often and how long to retry; the wait doubles from `first_seconds` to `longest_seconds`.

    After `attempts`, the call fails if a check finds everything available: the original is the cause. Otherwise retries
    continue for `away_seconds`. One attempt at a bucket takes up to a minute, because the store retries too.
    """

    attempts: int = 4
    first_seconds: float = 1.0
    longest_seconds: float = 30.0
    away_seconds: float = 900.0


class OutageRetry:
    """Retry logic for calls that fail in an outage; `check` raises during an outage."""

    def __init__(
        self,
        *,
        check: Callable[[], Awaitable[object]],
        stop: Stop,
        emit: Callable[[Event], None],
        policy: OutagePolicy | None = None,
    ) -> None:
        self._check = check
        self._stop = stop
        self._emit = emit
        self._policy = policy or OutagePolicy()

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Return what `function` returns.

        Raises:
            StoreUnavailable, QueueUnavailable, NoRoom: the call fails although everything is available.
            GaveUp: the outage lasts longer than `away_seconds`.
            Stopped: the run stops before the call succeeds.
        """
        began = time.monotonic()
        for tries in itertools.count(1):
            try:
                return await function()
            except AWAY as outage:
                if tries >= self._policy.attempts and await self._is_available():
                    raise
                await self._wait(outage, tries, away_seconds=time.monotonic() - began)
        raise AssertionError

    async def _is_available(self) -> bool:
        try:
            await self._check()
        except ImagesError:
            return False
        return True

    async def _wait(self, outage: ImagesError, tries: int, *, away_seconds: float) -> None:
        if away_seconds >= self._policy.away_seconds:
            raise GaveUp(f"Gave up after {away_seconds:.0f} s of retries: {outage}") from outage
        seconds = self._policy.wait_seconds(tries)
        self._emit(RetryScheduled(code=outage.code, detail=str(outage), retry_in_seconds=round(seconds, 1)))
        await self._stop.sleep(seconds)
