"""How a run is reported: JSON lines for machines, plain lines, a bar on a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from proxy.bulk.events import Ended
from proxy.concurrency.throughput import Throughput, format_duration
from proxy.errors import GaveUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proxy.bulk.events import Event, Line
    from proxy.bulk.stop import Stop

    Describe = Callable[[Event], Iterable[Line]]

LINE_SECONDS = 10.0
"""Seconds between two plain lines on how far a run is."""

WINDOW_SECONDS = 60.0
"""How far back the rate looks: long enough to be calm, short enough that fresh originals, which cost little, soon do
not promise anything for those that are due."""


class Tally(Protocol):
    """What a run has counted so far."""

    @property
    def originals(self) -> int:
        """Return how many originals are over."""
        ...

    @property
    def needed(self) -> int:
        """Return how many of them count towards a limit."""
        ...

    @property
    def problems(self) -> str:
        """Return the count that a person watches, with its name."""
        ...


class Reporter(Protocol):
    """Where a run reports to."""

    def emit(self, event: Event) -> None:
        """Report that something happened."""
        ...

    def update(self, tally: Tally, total: int | None) -> None:
        """Report how far the run is, and of how many if that is known."""
        ...


class JsonReporter:
    """Writes each event as one JSON line to standard output."""

    def emit(self, event: Event) -> None:
        """Write the event."""
        click.echo(msgspec.json.encode(event))

    def update(self, tally: Tally, total: int | None) -> None:
        """Write nothing: readers of events can count."""


class GuardedReporter:
    """Passes reports on while somebody reads them, and stops the run when nobody does any more."""

    def __init__(self, reporter: Reporter, stop: Stop) -> None:
        self._reporter = reporter
        self._stop = stop
        self.fault = ""
        """Why nothing is reported any more."""

    def emit(self, event: Event) -> None:
        """Report that something happened."""
        self._try(lambda: self._reporter.emit(event))

    def update(self, tally: Tally, total: int | None) -> None:
        """Report how far the run is."""
        self._try(lambda: self._reporter.update(tally, total))

    def check(self) -> None:
        """Return when everything was reported.

        Raises:
            GaveUp: nobody reads the reports any more.
        """
        if self.fault:
            raise GaveUp(f"{self.fault} The same command goes on from here.")

    def _try(self, report: Callable[[], None]) -> None:
        if self.fault:
            return
        try:
            report()
        except OSError as error:
            self.fault = f"Nobody takes the lines that tell of the run ({error.strerror})."
            self._stop.request(self.fault)


class StatusLine:
    """Words how far a run is; with a `limit`, only originals that count towards it do."""

    def __init__(self, *, limit: int | None) -> None:
        self._limit = limit
        self._throughput = Throughput[int](lambda before, now: now - before, window_seconds=WINDOW_SECONDS)

    def update(self, tally: Tally, total: int | None) -> tuple[int, str]:
        """Return how many originals are done, and the line."""
        done = tally.originals if self._limit is None else tally.needed
        self._throughput.record(done)
        share = f" of {total:,} ({100 * done / total:.1f} %)" if total else ""
        seconds = None if total is None else self._throughput.seconds_for(max(0, total - done))
        left = "" if seconds is None else f", {format_duration(seconds)} left"
        return done, f"{done:,}{share}, {self._throughput.per_second:.1f}/s, {tally.problems}{left}"


class LineReporter:
    """Writes events, and now and then how far the run is, in plain lines."""

    def __init__(self, describe: Describe, *, limit: int | None, every_seconds: float = LINE_SECONDS) -> None:
        self._describe = describe
        self._status = StatusLine(limit=limit)
        self._every_seconds = every_seconds
        self._next = time.monotonic() + every_seconds

    def emit(self, event: Event) -> None:
        """Write the lines of the event: answers to standard output, the rest to standard error."""
        for line in self._describe(event):
            click.echo(line.text, err=not line.is_answer)

    def update(self, tally: Tally, total: int | None) -> None:
        """Write the status line if it is due."""
        _, status = self._status.update(tally, total)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every_seconds
            click.echo(status, err=True)


class BarReporter:
    """Draws how far the run is; events are written above the bar."""

    def __init__(self, describe: Describe, bar: Progress, *, limit: int | None) -> None:
        self._describe = describe
        self._bar = bar
        self._status = StatusLine(limit=limit)
        self._task = bar.add_task("", total=None)

    def emit(self, event: Event) -> None:
        """Write the lines of the event."""
        if isinstance(event, Ended):
            self._bar.stop()
        for line in self._describe(event):
            # Two writers to one terminal would write into each other's lines.
            if line.is_answer and not sys.stdout.isatty():
                click.echo(line.text)
            else:
                self._bar.console.print(Text(line.text), soft_wrap=True)

    def update(self, tally: Tally, total: int | None) -> None:
        """Redraw the bar."""
        done, status = self._status.update(tally, total)
        self._bar.update(self._task, completed=done, total=total, description=status)


@contextmanager
def reporting(describe: Describe, *, as_json: bool, stop: Stop, limit: int | None = None) -> Iterator[GuardedReporter]:
    """Open the reporter that fits: JSON if asked for, a bar on a terminal, else plain lines."""
    if as_json:
        yield GuardedReporter(JsonReporter(), stop)
    elif sys.stderr.isatty():
        with drawn_bar() as bar:
            yield GuardedReporter(BarReporter(describe, bar, limit=limit), stop)
    else:
        yield GuardedReporter(LineReporter(describe, limit=limit), stop)


def drawn_bar() -> Progress:
    """Return a bar for the terminal of standard error, drawn while it is open."""
    return Progress(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
