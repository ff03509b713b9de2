"""The series of the last hour, for the plots of the pages."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from prometheus_client.metrics import MetricWrapperBase

EVERY_SECONDS: Final = 10.0
KEPT: Final = 360
"""How many values are kept: an hour of them, 60 KB for all series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series to plot: how it is read, and whether it only ever increases, so that its increase is shown."""

    read: Callable[[], float]
    is_counter: bool = False


def total(metric: MetricWrapperBase) -> float:
    """Return the sum of all samples of a gauge or a counter; NaN if it has none."""
    values = [sample.value for one in metric.collect() for sample in one.samples]
    return math.fsum(values) if values else math.nan


SERIES: Final[Mapping[str, Series]] = {
    "queue_depth": Series(read=lambda: total(metrics.queue_depth)),
    "queue_oldest_seconds": Series(read=lambda: total(metrics.queue_oldest_seconds)),
    "memory_used_bytes": Series(read=lambda: total(metrics.memory_used_bytes)),
    "render_reserved_bytes": Series(read=lambda: total(metrics.render_reserved_bytes)),
    "jobs_total": Series(read=lambda: total(metrics.jobs_total), is_counter=True),
    "store_errors_total": Series(read=lambda: total(metrics.store_errors_total), is_counter=True),
}
"""The plotted series, by the names under which Prometheus has them."""


class History:
    """The values of some series every `EVERY_SECONDS`."""

    def __init__(self, series: Mapping[str, Series] = SERIES) -> None:
        self._series = series
        self._values: dict[str, deque[float]] = {name: deque(maxlen=KEPT) for name in series}
        self._before: dict[str, float] = {}

    async def watch(self, *, every_seconds: float = EVERY_SECONDS) -> None:
        """Read all series until cancelled."""
        while True:
            self.read()
            await asyncio.sleep(every_seconds)

    def read(self) -> None:
        """Read all series once."""
        for name, series in self._series.items():
            now = series.read()
            value = now - self._before.get(name, now) if series.is_counter else now
            self._before[name] = now
            self._values[name].append(value)

    def values(self, name: str) -> Sequence[float]:
        """Return the values of a series, the oldest first."""
        return array("d", self._values[name])
