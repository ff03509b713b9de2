"""When a sender whose job was refused should come back."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from proxy.concurrency.throughput import Throughput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WINDOW_SECONDS = 120.0
"""How far back counts as recent."""

TRUSTED_SECONDS = 20.0
"""The shortest measurement that counts: workers report every 10 seconds."""

LEAST_SECONDS, MOST_SECONDS = 1, 300
"""Bounds of the answer."""

UNKNOWN_SECONDS = 5
"""The answer before anything was measured: the default queue of 64 empties in about 15 s."""


class AdvisedWait:
    """Measures how fast jobs end while others wait, from the counts that workers report."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._throughput = Throughput(_ended_between, window_seconds=WINDOW_SECONDS, clock=clock)
        self._jobs_per_second: float | None = None

    def record(self, ended: Mapping[str, int], *, waiting: int) -> None:
        """Record how many jobs each worker has ended since it started, and how many jobs wait."""
        if not waiting:  # idle workers show nothing of their speed
            self._throughput.reset()
            return
        self._throughput.record(ended)
        if self._throughput.measured_seconds >= TRUSTED_SECONDS:
            self._jobs_per_second = self._throughput.per_second

    def seconds(self, waiting: int) -> int:
        """Estimate when half of the waiting jobs will have been taken.

        Then there is room for those who come back, and still work for the workers.
        """
        if self._jobs_per_second is None:
            return UNKNOWN_SECONDS
        seconds = waiting / 2 / self._jobs_per_second if self._jobs_per_second else math.inf
        return math.ceil(min(max(seconds, LEAST_SECONDS), MOST_SECONDS))


def _ended_between(before: Mapping[str, int], now: Mapping[str, int]) -> int:
    """Count the jobs that ended; a new worker ended all of its jobs, one that restarted counts from 0 again."""
    return sum(max(0, count - before.get(worker, 0)) for worker, count in now.items())
