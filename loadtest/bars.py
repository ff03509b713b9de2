"""Bars: the limits that a scenario must not exceed, each with the source of its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

POST: Final = "POST /v1/jobs"
LOOK: Final = "GET /v1/jobs/<id>"
JOB: Final = "a job, order to end"
KNOWN: Final = "view of what is known"
FIRST: Final = "first view"
DERIVATIVE: Final = "what a first view led to"
PURGE: Final = "DELETE /v1/derivatives/<key>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The results of one kind of request, or of jobs."""

    count: int
    failures: int
    p99_milliseconds: float


NOTHING: Final = Series(count=0, failures=0, p99_milliseconds=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The results of a run by the names above, with the numbers of jobs and views that were planned."""

    series: Mapping[str, Series]
    jobs: int = 0
    views: int = 0
    kills: int = 0
    """How many processes the kernel killed for lack of memory."""

    def well(self, *names: str) -> int:
        """Return how many requests with these names succeeded."""
        return sum((one := self.series.get(name, NOTHING)).count - one.failures for name in names)

    def p99(self, name: str) -> float:
        """Return the 99th percentile of the response times, in milliseconds."""
        return self.series.get(name, NOTHING).p99_milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A measured value and its maximum."""

    says: str
    measure: Callable[[Results], float]
    most: float
    source: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A bar, and the value measured for it."""

    bar: Bar
    measured: float

    @property
    def is_missed(self) -> bool:
        """Whether the measured value exceeds the bar."""
        return self.measured > self.bar.most

    def told(self) -> str:
        """Return the verdict as one line."""
        word = "MISSED" if self.is_missed else "met   "
        unit = self.bar.unit
        return f"{word} {self.bar.says}: {self.measured:g}{unit}, at most {self.bar.most:g}{unit} ({self.bar.source})"


JOBS = Bar(
    says="jobs not done",
    measure=lambda results: results.jobs - results.well(JOB),
    most=0,
    source="the service's specification: 30 jobs at once, all done",
)
POSTS = Bar(
    says="p99 of posting a job",
    measure=lambda results: results.p99(POST),
    most=1000,
    unit=" ms",
    source="senders of webhooks give up after seconds; the wait of steady senders has its own bar in make bench-jobs",
)
VIEWS = Bar(
    says="views not answered well",
    measure=lambda results: results.views - results.well(KNOWN, FIRST),
    most=0,
    source="docs/explanation/memory.md: known pages never wait, others wait for their turn",
)
KNOWN_VIEWS = Bar(
    says="p99 of views of what is known",
    measure=lambda results: results.p99(KNOWN),
    most=50,
    unit=" ms",
    source="docs/benchmarks.md, Crowds on a small machine",
)
FIRST_VIEWS = Bar(
    says="p99 of first views",
    measure=lambda results: results.p99(FIRST),
    most=10_000,
    unit=" ms",
    source="docs/explanation/memory.md: a page view waits at most 10 s for a render",
)
FAILURES = Bar(
    says="requests that failed",
    measure=lambda results: sum(one.failures for one in results.series.values()),
    most=0,
    source="the service's specification: nothing is lost under load",
)

KILLS = Bar(
    says="processes killed for want of memory",
    measure=lambda results: results.kills,
    most=0,
    source="the service's specification: 30 jobs at once in 256 MB",
)

OF_SCENARIO: Mapping[str, tuple[Bar, ...]] = {
    "webhook_burst": (JOBS, POSTS, FAILURES),
    "page_views": (VIEWS, KNOWN_VIEWS, FIRST_VIEWS, FAILURES),
    "cold_views": (VIEWS, FIRST_VIEWS, FAILURES),
    "mixed": (JOBS, POSTS, VIEWS, KNOWN_VIEWS, FIRST_VIEWS, FAILURES),
}
"""The bars of each scenario."""


OF_MACHINE: tuple[Bar, ...] = (KILLS,)
"""The bars of the machine; they apply to a service of our own."""


def all_met(bars: Iterable[Bar], results: Results) -> bool:
    """Compare a run with its bars, print each verdict, and return whether all are met."""
    verdicts = [Verdict(bar=bar, measured=bar.measure(results)) for bar in bars]
    for verdict in verdicts:
        print(verdict.told(), flush=True)
    return not any(verdict.is_missed for verdict in verdicts)
