"""Events of a run: one struct per event, written as a JSON line or as text for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from proxy.concurrency.throughput import format_duration
from proxy.errors import NoRoom, QueueUnavailable, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.errors import Refused
    from proxy.errors import ImagesError

CONTINUE = "Run the same command to continue."

_UNAVAILABLE = {StoreUnavailable.code: "Store", QueueUnavailable.code: "Queue", NoRoom.code: "Scratch folder"}
"""What is unavailable, by error code."""

Change = Literal["rendered", "promoted", "undone", "exported"]
"""What a command does to the derivatives of an original, or with its row."""

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
    """No more originals are started; those in progress are finished, here or by the workers of the queue.

    `detail` is the reason, `advice` is how to stop at once.
    """

    detail: str
    advice: str = ""
    in_progress: int
    left_to_workers: bool = False


class Ended(Event, frozen=True, kw_only=True):
    """The run has ended; `is_finished` is whether all originals are done."""

    is_finished: bool
    is_within_budget: bool


class RunEnded(Ended, frozen=True, kw_only=True, tag="ended"):
    """The outcome of a run; `faults` counts failures by error code.

    Of `rendered`, `promoted`, `undone` and `exported`, each command sets only the count of what it does.
    """

    rendered: int | None = None
    promoted: int | None = None
    undone: int | None = None
    exported: int | None = None
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
        changed = (self.rendered or 0) + (self.promoted or 0) + (self.undone or 0) + (self.exported or 0)
        return changed + self.fresh + self.due + self.failed


class Line(NamedTuple):
    """A line of text; an answer is a result of the command, every other line is progress."""

    text: str
    is_answer: bool = False


def describe(event: Event) -> Iterator[Line]:
    """Return the lines of text for an event; none for events that only machines need."""
    match event:
        case RunStarted(resumed=True):
            position = f" after {event.after}" if event.after else ""
            yield Line(f"Resuming run {event.run}{position}. Use --restart to start over.")
        case OriginalDone(result="failed"):
            yield Line(f"Failed {event.key}: {event.code}: {event.detail}")
        case OriginalDone(result="due"):
            yield Line(f"{event.key}: {_by_reason(event.reasons)}", is_answer=True)
        case RetryScheduled():
            what = _UNAVAILABLE.get(event.code, event.code)
            yield Line(f"{what} unavailable, retrying in {event.retry_in_seconds:g} s: {event.detail}")
        case Stopping():
            yield Line(_stopping(event))
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
        "exported": ended.exported,
        "due": ended.due,
        "fresh": ended.fresh,
        "failed": ended.failed,
    }
    listed = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number) or "no originals"
    rate = f", {ended.originals / ended.seconds:.1f}/s" if ended.seconds and ended.originals else ""
    yield f"{'Finished' if ended.is_finished else 'Not finished'}: {listed}; {format_duration(ended.seconds)}{rate}"
    if ended.is_finished and not ended.originals:
        yield "No original was found. Check STORE and --prefix."
    if ended.faults:
        yield "Failures: " + ", ".join(f"{number:,} {code}" for code, number in sorted(ended.faults.items()))
    if ended.is_finished and not ended.is_within_budget:
        yield "More originals failed than --max-failures allows."
    if ended.failures:
        yield f"To retry the failed originals, use --retry-failed {ended.failures}"
    if not ended.is_finished:
        yield CONTINUE


def count_originals(number: int) -> str:
    """Return the number with its noun."""
    return "1 original" if number == 1 else f"{number:,} originals"


def _stopping(event: Stopping) -> str:
    if event.left_to_workers:
        # Few of the originals in progress were queued; the others wait for room in the queue, until the next run.
        return f"{event.detail} The workers finish the queued jobs."
    if not event.in_progress:
        return event.detail
    advice = f"; {event.advice}" if event.advice else ""
    return f"{event.detail} Finishing {count_originals(event.in_progress)}{advice}."


def _by_reason(reasons: dict[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for size, reason in reasons.items():
        by_reason.setdefault(reason, []).append(size)
    return "; ".join(f"{reason}: {', '.join(sizes)}" for reason, sizes in by_reason.items())
