"""How a run is told: JSON lines for machines, plain lines, a bar on a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from proxy.bulk import events
from proxy.concurrency.tempo import Throughput, format_duration
from proxy.errors import GaveUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy.bulk.checkpoint import RunTally
    from proxy.bulk.events import Event
    from proxy.bulk.stop import Stop

T_contra = TypeVar("T_contra", contravariant=True)

LINE_SECONDS = 10.0
"""How often a plain line says how far a run is."""


class Reporter(Protocol):
    """Who tells of a run."""

    def tell(self, event: Event) -> None:
        """Tell that something happened."""
        ...

    def move(self, tally: RunTally, total: int | None) -> None:
        """Show how far the run is, of how many if that is known."""
        ...


class JsonReporter:
    """Writes each event as one JSON line, on standard output."""

    def tell(self, event: Event) -> None:
        """Write the event."""
        click.echo(msgspec.json.encode(event))

    def move(self, tally: RunTally, total: int | None) -> None:
        """Write nothing: whoever reads events can count."""


class _Tells(Protocol[T_contra]):
    """Who tells of a run, whatever its tally counts."""

    def tell(self, event: Event) -> None: ...

    def move(self, tally: T_contra, total: int | None) -> None: ...


class GuardedReporter(Generic[T_contra]):
    """Has another one tell as long as its lines are taken; ends the run when they are not any more."""

    def __init__(self, reporter: _Tells[T_contra], stop: Stop) -> None:
        self._reporter = reporter
        self._stop = stop
        self.fault = ""
        """Why nothing is told any more."""

    def tell(self, event: Event) -> None:
        """Tell that something happened."""
        self._try(lambda: self._reporter.tell(event))

    def move(self, tally: T_contra, total: int | None) -> None:
        """Show how far the run is."""
        self._try(lambda: self._reporter.move(tally, total))

    def check(self) -> None:
        """Return when everything was told.

        Raises:
            GaveUp: nobody takes its lines any more.
        """
        if self.fault:
            raise GaveUp(f"{self.fault} The same command goes on from here.")

    def _try(self, tell: Callable[[], None]) -> None:
        if self.fault:
            return
        try:
            tell()
        except OSError as error:
            self.fault = f"Nobody takes the lines that tell of the run ({error.strerror})."
            self._stop.request(self.fault)


class LineReporter:
    """Writes what happens, and now and then how far the run is, in plain lines on standard error."""

    def __init__(self, *, limit: int | None, every_seconds: float = LINE_SECONDS) -> None:
        self._limit = limit
        self._tempo = Throughput()
        self._every_seconds = every_seconds
        self._next = time.monotonic() + every_seconds

    def tell(self, event: Event) -> None:
        """Write what a person wants to know of the event."""
        write(event, say=lambda line: click.echo(line, err=True), answer=click.echo)

    def move(self, tally: RunTally, total: int | None) -> None:
        """Write a line, every once in a while."""
        done = _done(tally, self._limit)
        self._tempo.note(done)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every_seconds
            click.echo(_line(self._tempo, tally, done=done, total=total), err=True)


class BarReporter:
    """Draws how far the run is; what happens is written above the bar."""

    def __init__(self, progress: Progress, *, limit: int | None) -> None:
        self._progress = progress
        self._limit = limit
        self._tempo = Throughput()
        self._task = progress.add_task("", total=None)

    def tell(self, event: Event) -> None:
        """Write what a person wants to know of the event."""
        if isinstance(event, events.RunEnded):
            self._progress.stop()
        # Two that write to one terminal would write into each other's lines.
        write(event, say=self._say, answer=self._say if sys.stdout.isatty() else click.echo)

    def move(self, tally: RunTally, total: int | None) -> None:
        """Draw the bar anew."""
        done = _done(tally, self._limit)
        self._tempo.note(done)
        line = _line(self._tempo, tally, done=done, total=total)
        self._progress.update(self._task, completed=done, total=total, description=line)

    def _say(self, line: str) -> None:
        self._progress.console.print(Text(line), soft_wrap=True)


@contextmanager
def bar(*, limit: int | None) -> Iterator[BarReporter]:
    """Draw a bar on the terminal of standard error for the length of the block."""
    columns = BarColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield BarReporter(progress, limit=limit)


def write(event: Event, *, say: Callable[[str], None], answer: Callable[[str], None]) -> None:
    """Say what a person wants to know of an event; what is due, and what came of it all, is the answer."""
    match event:
        case events.RunStarted(goes_on=True):
            say(f"going on behind {event.after or 'nothing'} (run {event.run}); --restart would begin anew")
        case events.OriginalDone(result="failed"):
            say(f"failed {event.key}: {event.code}: {event.detail}")
        case events.OriginalDone(result="due"):
            answer(f"{event.key}: {_reasons(event.why)}")
        case events.RetryScheduled():
            say(f"trouble, trying again in {event.again_in_seconds:g} s: {event.detail}")
        case events.Stopping():
            # Few of those underway were ordered: the others wait for room in the queue, and are the next run's.
            rest = "jobs left to the queue's workers" if event.ends_elsewhere else f"{event.underway} to be finished"
            say(f"stopping, {rest}: {event.detail}")
        case events.RunEnded():
            for line in summary(event):
                answer(line)
        case _:
            pass


def summary(ended: events.RunEnded) -> Iterator[str]:
    """Give what came of a run, in lines."""
    counts = {ended.did: ended.made, "due": ended.due, "fresh": ended.fresh, "failed": ended.failed}
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number) or "no originals"
    rate = f", {ended.originals / ended.seconds:.1f}/s" if ended.seconds and ended.originals else ""
    yield f"{'finished' if ended.is_finished else 'not finished'}: {told}; {format_duration(ended.seconds)}{rate}"
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


def _done(tally: RunTally, limit: int | None) -> int:
    return tally.originals if limit is None else tally.needed


def _reasons(why: dict[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for size, reason in why.items():
        by_reason.setdefault(reason, []).append(size)
    return "; ".join(f"{reason}: {', '.join(sizes)}" for reason, sizes in by_reason.items())


def _line(tempo: Throughput, tally: RunTally, *, done: int, total: int | None) -> str:
    share = f" of {total:,} ({100 * done / total:.1f} %)" if total else ""
    seconds = tempo.seconds_left(total)
    left = "" if seconds is None else f", {format_duration(seconds)} left"
    return f"{done:,}{share}, {tempo.per_second:.1f}/s, {tally.failed:,} failed{left}"
