"""A limit on the rate of originals with due sizes; fresh originals do not wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.bulk.events import OriginalDone
    from proxy.bulk.reprocess.inspect import Inspector
    from proxy.bulk.stop import Stop


class Throttle:
    """A throttle that spaces starts evenly, `each_seconds` apart."""

    def __init__(self, each_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._each_seconds = each_seconds
        self._clock = clock
        self._next = clock()

    async def take(self, stop: Stop) -> None:
        """Wait until one more may start.

        Raises:
            Stopped: the run stops first.
        """
        now = self._clock()
        self._next = max(self._next, now) + self._each_seconds
        if (seconds := self._next - self._each_seconds - now) > 0:
            await stop.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottledStep:
    """A step that inspects an original and, if any size is due, passes it to `step`, throttled."""

    inspector: Inspector
    throttle: Throttle
    step: Callable[[str], Awaitable[OriginalDone]]
    stop: Stop

    async def run(self, key: str) -> OriginalDone:
        """Return the outcome of an original.

        Raises:
            ImagesError: the original cannot be inspected, or `step` raised it.
            Stopped: the run stops before the original may start.
        """
        inspected = await self.inspector.inspect(key)
        if inspected.result == "fresh":
            return inspected
        await self.throttle.take(self.stop)
        return await self.step(key)
