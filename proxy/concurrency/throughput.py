"""How fast jobs end, from what the workers report of themselves, so that a sender can be told when to come back."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WINDOW_SECONDS = 120.0
"""How far back counts as recent."""

TRUSTED_SECONDS = 20.0
"""How long must be seen before it tells anything: workers report every 10 seconds."""

LEAST_SECONDS, MOST_SECONDS = 1, 300
"""The shortest and the longest that a sender is told to stay away."""

UNKNOWN_SECONDS = 5
"""What a sender is told before anything was seen: the default queue of 64 empties in about 15 s."""


class QueueThroughput:
    """Remembers how many jobs each worker had ended by when, for as long as jobs wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, Mapping[str, int]]] = deque()
        self._jobs_a_second: float | None = None

    def record(self, ended: Mapping[str, int], *, waiting: int) -> None:
        """Take note of how many jobs each worker has ended since it began, and how many wait."""
        if not waiting:  # workers that have nothing to do tell nothing of how fast they are
            self._seen.clear()
            return
        now = self._clock()
        self._seen.append((now, ended))
        while self._seen[0][0] < now - WINDOW_SECONDS:
            self._seen.popleft()
        began, before = self._seen[0]
        if now - began >= TRUSTED_SECONDS:
            # A worker that is new has ended all its jobs since; one that began anew counts from 0 again.
            more = sum(max(0, count - before.get(worker, 0)) for worker, count in ended.items())
            self._jobs_a_second = more / (now - began)

    def seconds_until_half_done(self, waiting: int) -> int:
        """Guess when half of the jobs that wait now will have been taken.

        Then there is room for those who come back, and still work for the workers.
        """
        if self._jobs_a_second is None:
            return UNKNOWN_SECONDS
        seconds = waiting / 2 / self._jobs_a_second if self._jobs_a_second else math.inf
        return math.ceil(min(max(seconds, LEAST_SECONDS), MOST_SECONDS))
