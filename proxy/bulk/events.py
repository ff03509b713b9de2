"""Events of a run: one struct per event, written as a JSON line or as text for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from proxy.concurrency.throughput import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.errors import Refused
    from proxy.errors import ImagesError

Change = Literal["rendered", "promoted", "undone"]
"""What a command does to the derivatives of an original."""

Result = Change | Literal["fresh", "due", "failed"]
"""The result of an original: derivatives were changed; all were fresh; some are due but were not changed; it failed."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=str.lower, tag_field="event"):
    """An event of a run."""


class RunStarted(Event, frozen=True, kw_only=True, tag="started"):
    """A run starts, or resumes after the key `after`; `sizes` are the sizes that it processes."""

    run: str
    prefix: str
    mode: str
    sizes: tuple[str, ...]
    after: str = ""
    resumed: bool = False


class Counted(Event, frozen=True, kw_only=True):
    """The whole listing was counted, in parallel with the run."""

    originals: int


class OriginalDone(Event, frozen=True, kw_only=True, tag="original"):
    """One original is done; `reasons` maps each due size to its reason, `detail` is the error message."""

    key: str
    result: Result
    reasons: dict[str, str] = {}
    code: str = ""
    detail: str = ""
    seconds: float = 0.0

    @classmethod
    def from_error(cls, key: str, error: Refused | ImagesError) -> OriginalDone:
        """Return the outcome of an original that failed."""
        return cls(key=key, result="failed", code=error.code, detail=str(error))


class RetryScheduled(Event, frozen=True, kw_only=True, tag="retry"):
    """The store, the queue or the disk is unavailable; the call is retried later."""

    code: str
    detail: str
    retry_in_seconds: float


class Stopping(Event, frozen=True, kw_only=True):
    """No more originals are started; those in progress are finished, here or by the workers of the queue."""

    detail: str
    in_progress: int
    left_to_workers: bool = False


class Ended(Event, frozen=True, kw_only=True):
    """The run has ended; `is_finished` is whether all originals are done."""

    is_finished: bool
    is_within_budget: bool


class RunEnded(Ended, frozen=True, kw_only=True, tag="ended"):
    """The outcome of a run; `faults` counts failures by error code.

    Of `rendered`, `promoted` and `undone`, each command sets only the count of what it does.
    """

    rendered: int | None = None
    promoted: int | None = None
    undone: int | None = None
    fresh: int
    due: int
    failed: int
    faults: dict[str, int]
    seconds: float
    failures: str = ""
    """Path of the file that lists the failed originals; empty if none failed."""

    @property
    def originals(self) -> int:
        """Return how many originals are done."""
        changed = (self.rendered or 0) + (self.promoted or 0) + (self.undone or 0)
        return changed + self.fresh + self.due + self.failed


class Line(NamedTuple):
    """A line of text; an answer is a result of the command, every other line is progress."""

    text: str
    is_answer: bool = False


def describe(event: Event) -> Iterator[Line]:
    """Return the lines of text for an event; none for events that only machines need."""
    match event:
        case RunStarted(resumed=True):
            yield Line(f"going on behind {event.after or 'nothing'} (run {event.run}); --restart would begin anew")
        case OriginalDone(result="failed"):
            yield Line(f"failed {event.key}: {event.code}: {event.detail}")
        case OriginalDone(result="due"):
            yield Line(f"{event.key}: {_by_reason(event.reasons)}", is_answer=True)
        case RetryScheduled():
            yield Line(f"trouble, trying again in {event.retry_in_seconds:g} s: {event.detail}")
        case Stopping():
            # Few of the originals in progress were queued; the others wait for room in the queue, until the next run.
            rest = (
                "jobs left to the queue's workers" if event.left_to_workers else f"{event.in_progress} to be finished"
            )
            yield Line(f"stopping, {rest}: {event.detail}")
        case RunEnded():
            yield from (Line(line, is_answer=True) for line in summary(event))
        case _:
            pass


def summary(ended: RunEnded) -> Iterator[str]:
    """Return the lines that summarise the outcome of a run."""
    counts = {
        "rendered": ended.rendered,
        "promoted": ended.promoted,
        "undone": ended.undone,
        "due": ended.due,
        "fresh": ended.fresh,
        "failed": ended.failed,
    }
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


def _by_reason(reasons: dict[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for size, reason in reasons.items():
        by_reason.setdefault(reason, []).append(size)
    return "; ".join(f"{reason}: {', '.join(sizes)}" for reason, sizes in by_reason.items())
