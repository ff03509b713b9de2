"""The state of the service in numbers, which are those of its series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy import metrics
from proxy.ui import show
from proxy.ui.plots.history import total
from proxy.ui.plots.svg import bars, plot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markupsafe import Markup
    from prometheus_client import Histogram

    from proxy.ui.parts import Parts

HALF: Final = 0.5
MOST: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A number with its plot; `name` is that of its series."""

    title: str
    name: str
    value: str
    plot: Markup
    of: str = ""
    """What the number is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderTimes:
    """How long renders of a format took since the service started; times in seconds, upper bounds."""

    format: str
    count: int
    half: str
    most: str
    plot: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """The state of the service."""

    parts: tuple[tuple[str, bool], ...]
    """Each part, and whether its last check passed."""
    is_paused: bool
    store_waits: bool
    sandbox: str
    gauges: tuple[Gauge, ...]
    renders: tuple[RenderTimes, ...]
    store_errors: tuple[tuple[str, str, int], ...]
    """Operation, kind and number of the store's errors since the service started."""


def read_status(parts: Parts) -> StatusView:
    """Return the state of the service, from its series; nothing is probed."""
    ready = [(sample.labels["part"], bool(sample.value)) for one in metrics.ready.collect() for sample in one.samples]
    errors = [
        (sample.labels["operation"], sample.labels["kind"], int(sample.value))
        for one in metrics.store_errors_total.collect()
        for sample in one.samples
        if sample.value
    ]
    return StatusView(
        parts=tuple(sorted(ready)),
        is_paused=total(metrics.queue_paused) == 1,
        store_waits=total(metrics.store_paused) == 1,
        sandbox=parts.render_pool.sandbox,
        gauges=tuple(_gauges(parts)),
        renders=tuple(_renders(metrics.render_seconds)),
        store_errors=tuple(errors),
    )


def _gauges(parts: Parts) -> Iterator[Gauge]:
    limit, budget = total(metrics.memory_limit_bytes), float(parts.render_pool.budget_bytes)
    rows = (
        ("Jobs that wait", "queue_depth", show.number, 0.0, ""),
        ("Age of the oldest", "queue_oldest_seconds", _age, 0.0, ""),
        ("Memory in use", "memory_used_bytes", show.size, limit, f"of {show.size(limit)}"),
        ("Reserved by renders", "render_reserved_bytes", show.size, budget, f"of {show.size(budget)} in {_slots()}"),
        ("Jobs that ended", "jobs_total", show.number, 0.0, "in 10 s"),
        ("Errors of the store", "store_errors_total", show.number, 0.0, "in 10 s"),
    )
    for title, name, form, most, of in rows:
        values = parts.history.values(name)
        now = values[-1] if len(values) else math.nan
        value = form(now) if math.isfinite(now) else show.UNKNOWN
        label = f"{title} in the last hour; now {value} {of}".strip()
        yield Gauge(title=title, name=name, value=value, of=of, plot=plot(values, label=label, most=most))


def _age(seconds: float) -> str:
    return show.duration(seconds) if seconds else "none waits"


def _slots() -> str:
    slots = int(total(metrics.workers))
    return f"{slots} slots" if slots != 1 else "1 slot"


def _renders(histogram: Histogram) -> Iterator[RenderTimes]:
    counts: dict[str, list[tuple[float, float]]] = {}
    for one in histogram.collect():
        for sample in one.samples:
            if sample.name.endswith("_bucket"):
                counts.setdefault(sample.labels["format"], []).append((float(sample.labels["le"]), sample.value))
    for name, cumulated in sorted(counts.items()):
        count = int(cumulated[-1][1])
        if count:
            each = [
                after - before for (_, before), (_, after) in zip([(0.0, 0.0), *cumulated], cumulated, strict=False)
            ]
            half, most = (_bound(cumulated, share * count) for share in (HALF, MOST))
            label = f"Renders of {name} by duration: half took at most {half}, 95 % at most {most}"
            yield RenderTimes(format=name, count=count, half=half, most=most, plot=bars(each, label=label))


def _bound(cumulated: list[tuple[float, float]], wanted: float) -> str:
    """Return the upper bound of the bucket in which the `wanted`-th render is."""
    bound = next(le for le, count in cumulated if count >= wanted)
    return show.duration(bound) if math.isfinite(bound) else f"over {show.duration(cumulated[-2][0])}"
