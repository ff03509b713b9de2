"""How many originals may be begun in a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.reprocess.stop import Stop


class Allowance:
    """Spaces beginnings evenly, `each_seconds` apart; what turns out to need nothing is given back."""

    def __init__(self, each_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._each_seconds = each_seconds
        self._clock = clock
        self._next = clock()

    async def take(self, stop: Stop) -> None:
        """Return when one more may be begun."""
        self._next = max(self._next, self._clock() - self._each_seconds) + self._each_seconds
        if (seconds := self._next - self._each_seconds - self._clock()) > 0:
            await stop.sleep(seconds)

    def give_back(self) -> None:
        """Let the next begin the earlier."""
        self._next -= self._each_seconds
