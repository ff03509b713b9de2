"""What a run reports: one value per event, one JSON line each for machines, and its text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from proxy.concurrency.throughput import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.errors import Refused
    from proxy.errors import ImagesError

Result = Literal["made", "fresh", "due", "failed"]
"""The outcome of an original: derivatives made; nothing to do; something to do, in a dry run; an error."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=str.lower, tag_field="event"):
    """Something that happened."""


class RunStarted(Event, frozen=True, kw_only=True, tag="began"):
    """A run starts, or resumes behind the key `after`; `sizes` are those that it works on."""

    run: str
    prefix: str
    remake: str
    sizes: tuple[str, ...]
    after: str = ""
    goes_on: bool = False


class Counted(Event, frozen=True, kw_only=True):
    """The whole listing was counted, while the run was at work."""

    originals: int


class OriginalDone(Event, frozen=True, kw_only=True, tag="original"):
    """One original is done; `why` gives the reason for each size that is due, `detail` says what is wrong."""

    key: str
    result: Result
    why: dict[str, str] = {}
    code: str = ""
    detail: str = ""
    seconds: float = 0.0

    @classmethod
    def from_error(cls, key: str, error: Refused | ImagesError) -> OriginalDone:
        """Return the outcome of an original that failed."""
        return cls(key=key, result="failed", code=error.code, detail=str(error))


class RetryScheduled(Event, frozen=True, kw_only=True, tag="trouble"):
    """The store, the queue or the disk is unavailable; the same is tried again in a while."""

    code: str
    detail: str
    again_in_seconds: float


class Stopping(Event, frozen=True, kw_only=True):
    """No more originals are begun; those underway are finished, here or by the workers of the queue."""

    detail: str
    underway: int
    ends_elsewhere: bool = False


class Ended(Event, frozen=True, kw_only=True):
    """The run is over; `is_finished` says whether everything was done."""

    is_finished: bool
    is_within_budget: bool


class RunEnded(Ended, frozen=True, kw_only=True, tag="ended"):
    """What came of a run; `faults` counts failures by their code."""

    made: int
    fresh: int
    due: int
    failed: int
    faults: dict[str, int]
    seconds: float
    did: str = "made"
    """What was done to those that are counted as made."""
    failures: str = ""
    """The file that names them, where there are any."""

    @property
    def originals(self) -> int:
        """Return how many originals are done."""
        return self.made + self.fresh + self.due + self.failed


class Line(NamedTuple):
    """A line for people; an answer is what the command was run for."""

    text: str
    is_answer: bool = False


def describe(event: Event) -> Iterator[Line]:
    """Return the lines that a person wants to read of an event."""
    match event:
        case RunStarted(goes_on=True):
            yield Line(f"going on behind {event.after or 'nothing'} (run {event.run}); --restart would begin anew")
        case OriginalDone(result="failed"):
            yield Line(f"failed {event.key}: {event.code}: {event.detail}")
        case OriginalDone(result="due"):
            yield Line(f"{event.key}: {_reasons(event.why)}", is_answer=True)
        case RetryScheduled():
            yield Line(f"trouble, trying again in {event.again_in_seconds:g} s: {event.detail}")
        case Stopping():
            # Few of those underway were queued: the others wait for room in the queue, and are the next run's.
            rest = "jobs left to the queue's workers" if event.ends_elsewhere else f"{event.underway} to be finished"
            yield Line(f"stopping, {rest}: {event.detail}")
        case RunEnded():
            yield from (Line(line, is_answer=True) for line in summary(event))
        case _:
            pass


def summary(ended: RunEnded) -> Iterator[str]:
    """Return the outcome of a run, in lines."""
    counts = {ended.did: ended.made, "due": ended.due, "fresh": ended.fresh, "failed": ended.failed}
    listed = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number) or "no originals"
    rate = f", {ended.originals / ended.seconds:.1f}/s" if ended.seconds and ended.originals else ""
    yield f"{'finished' if ended.is_finished else 'not finished'}: {listed}; {format_duration(ended.seconds)}{rate}"
    if ended.is_finished and not ended.originals:
        yield "no original was found: are STORE and --prefix right?"
    if ended.faults:
        yield "failed for: " + ", ".join(f"{code} {number:,}" for code, number in sorted(ended.faults.items()))
    if ended.is_finished and not ended.is_within_budget:
        yield "more failed than --max-failures allows"
    if ended.failures:
        yield f"try them again: --retry-failed {ended.failures}"
    if not ended.is_finished:
        yield "the same command goes on from here"


def _reasons(why: dict[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for size, reason in why.items():
        by_reason.setdefault(reason, []).append(size)
    return "; ".join(f"{reason}: {', '.join(sizes)}" for reason, sizes in by_reason.items())
