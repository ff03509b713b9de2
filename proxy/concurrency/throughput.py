"""Events per second over a moving window, read off a counter that grows."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Reading = TypeVar("Reading")

SAMPLE_SECONDS = 0.5
"""Readings that follow each other faster are not kept, but for the last one."""


class Throughput(Generic[Reading]):
    """Measures how fast a counter grows.

    `count` returns how many events lie between two readings of the counter, the earlier one first.
    """

    def __init__(
        self,
        count: Callable[[Reading, Reading], int],
        *,
        window_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._window_seconds = window_seconds
        self._clock = clock
        self._samples: deque[tuple[float, Reading]] = deque()
        self._last: tuple[float, Reading] | None = None

    def record(self, reading: Reading) -> None:
        """Record what the counter shows now."""
        now = self._clock()
        self._last = now, reading
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append(self._last)
        while len(self._samples) > 1 and self._samples[0][0] < now - self._window_seconds:
            self._samples.popleft()

    def reset(self) -> None:
        """Forget every reading."""
        self._samples.clear()
        self._last = None

    @property
    def measured_seconds(self) -> float:
        """Return how much time lies between the first reading in the window and the last."""
        return self._last[0] - self._samples[0][0] if self._last else 0.0

    @property
    def per_second(self) -> float:
        """Return the events per second within the window; 0 while there is only one reading."""
        if self._last is None or not self.measured_seconds:
            return 0.0
        return self._count(self._samples[0][1], self._last[1]) / self.measured_seconds

    def seconds_for(self, events: int) -> float | None:
        """Return how long so many more events take at this rate; None while there is none."""
        return events / self.per_second if self.per_second else None


def format_duration(seconds: float) -> str:
    """Format a duration for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
