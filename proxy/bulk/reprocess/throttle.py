"""How many originals may be begun in a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.bulk.stop import Stop


class Throttle:
    """Spaces beginnings evenly, `each_seconds` apart."""

    def __init__(self, each_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._each_seconds = each_seconds
        self._clock = clock
        self._next = clock()

    async def take(self, stop: Stop) -> None:
        """Return when one more may be begun.

        Raises:
            Stopped: the run ends before.
        """
        now = self._clock()
        self._next = max(self._next, now) + self._each_seconds
        if (seconds := self._next - self._each_seconds - now) > 0:
            await stop.sleep(seconds)
