"""How a run outlasts a store, a queue or a disk that is of no use for a while."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from proxy.bulk.events import RetryScheduled
from proxy.concurrency.backoff import jittered
from proxy.errors import GaveUp, ImagesError, NoRoom, QueueUnavailable, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.bulk.events import Event
    from proxy.bulk.stop import Stop

T = TypeVar("T")

AWAY = (StoreUnavailable, QueueUnavailable, NoRoom)
"""What may pass, and is no original's fault but the store's, the queue's or the disk's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutagePolicy:
    """How often and how long something is tried; seconds between two tries double from `first` to `longest`.

    After `attempts` it is the original's own trouble if all else is well; if not, it goes on for `away_seconds`. Each
    attempt at a bucket is up to a minute of the store's own patience.
    """

    attempts: int = 4
    first_seconds: float = 1.0
    longest_seconds: float = 30.0
    away_seconds: float = 900.0

    def wait_seconds(self, tries: int) -> float:
        """Give how long to wait after so many tries."""
        return jittered(min(self.first_seconds * 2.0 ** (tries - 1), self.longest_seconds))


class OutageRetry:
    """Tries again what fails for other reasons than its own; `check` tells by an error whether there are any."""

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

    async def call(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Give what `ask` returns.

        Raises:
            StoreUnavailable, QueueUnavailable, NoRoom: it fails although all of them are well.
            GaveUp: they have been away for too long.
            Stopped: the run ends before it is known.
        """
        began = time.monotonic()
        for tries in itertools.count(1):
            try:
                return await ask()
            except AWAY as trouble:
                if tries >= self._policy.attempts and await self._is_well():
                    raise
                await self._wait(trouble, tries, away_seconds=time.monotonic() - began)
        raise AssertionError

    async def _is_well(self) -> bool:
        try:
            await self._check()
        except ImagesError:
            return False
        return True

    async def _wait(self, trouble: ImagesError, tries: int, *, away_seconds: float) -> None:
        if away_seconds >= self._policy.away_seconds:
            raise GaveUp(f"For {away_seconds:.0f} s there was no way past this: {trouble}") from trouble
        seconds = self._policy.wait_seconds(tries)
        self._emit(RetryScheduled(code=trouble.code, detail=str(trouble), again_in_seconds=round(seconds, 1)))
        await self._stop.sleep(seconds)
