"""How fast a run is, and when it will be over at that."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS = 60.0
"""How far back counts: long enough to be calm, short enough that what was fresh is soon no promise for what is not."""

SAMPLE_SECONDS = 0.5


class Throughput:
    """Remembers how many originals were over by when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._last = (0.0, 0)

    def note(self, done: int) -> None:
        """Take note of how many are over now."""
        now = self._clock()
        self._last = now, done
        if not self._seen or now - self._seen[-1][0] >= SAMPLE_SECONDS:
            self._seen.append(self._last)
        while len(self._seen) > 1 and self._seen[0][0] < now - WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Originals a second, lately; 0 before that can be told."""
        if not self._seen:
            return 0.0
        (began, before), (now, done) = self._seen[0], self._last
        return (done - before) / (now - began) if now > began else 0.0

    def seconds_left(self, total: int | None) -> float | None:
        """Guess how long the rest takes; None where that cannot be told."""
        if total is None or not self.per_second:
            return None
        return max(0, total - self._last[1]) / self.per_second


def format_duration(seconds: float) -> str:
    """Give a length of time as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
