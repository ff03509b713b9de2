"""Events of a comparison, and their text for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.bulk.compare.causes import TITLES
from proxy.bulk.events import CONTINUE, Ended, Event, Line, RetryScheduled, Stopping, count_originals, describe
from proxy.concurrency.throughput import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator


class ComparisonStarted(Event, frozen=True, kw_only=True, tag="started"):
    """A comparison starts, or resumes with `already_compared` originals."""

    old: str
    new: str
    sizes: tuple[str, ...]
    already_compared: int = 0


class Differs(Event, frozen=True, kw_only=True):
    """A derivative differs between the sides; `causes` maps the code of each cause to its detail."""

    key: str
    size: str
    causes: dict[str, str]


class ComparisonEnded(Ended, frozen=True, kw_only=True, tag="ended"):
    """The outcome of a comparison; `causes` counts derivatives by cause.

    `excused` counts the different derivatives whose causes are all allowed.
    """

    originals: int
    alike: int
    different: int
    excused: int
    absent: int
    causes: dict[str, int]
    seconds: float
    report: str

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was compared, so that the outcome proves nothing about either side."""
        return not self.alike + self.different


def describe_comparison(event: Event) -> Iterator[Line]:
    """Return the lines of text for an event; none for a difference, which is in the report."""
    match event:
        case ComparisonStarted() if event.already_compared:
            compared = count_originals(event.already_compared)
            yield Line(f"Resuming: {compared} already compared. Use --restart to start over.")
        case RetryScheduled() | Stopping():
            yield from describe(event)
        case ComparisonEnded():
            yield from (Line(line, is_answer=True) for line in _summary(event))
        case _:
            pass


def _summary(ended: ComparisonEnded) -> Iterator[str]:
    state = "Finished" if ended.is_finished else "Not finished"
    counts = f"derivatives: {ended.alike:,} alike, {ended.different:,} different"
    absent = f", {ended.absent:,} on neither side" if ended.absent else ""
    yield f"{state}: {count_originals(ended.originals)}; {counts}{absent}; {format_duration(ended.seconds)}"
    for cause, number in sorted(ended.causes.items(), key=lambda item: -item[1]):
        yield f"{number:>9,}  {TITLES[cause]} ({cause})"
    if ended.excused:
        yield f"Allowed by --allow: {ended.excused:,} of {ended.different:,} different derivatives"
    if ended.is_finished and not ended.is_within_budget:
        yield "More derivatives differ than --max-different allows."
    yield f"Report: {ended.report}"
    if not ended.is_finished:
        yield CONTINUE
