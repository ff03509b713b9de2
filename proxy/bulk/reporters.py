"""Reporters of a run: JSON lines, plain lines, or a progress bar on a terminal."""

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

from proxy.bulk.events import CONTINUE, Ended
from proxy.concurrency.throughput import Throughput, format_duration
from proxy.errors import GaveUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proxy.bulk.events import Event, Line
    from proxy.bulk.stop import Stop

    Describe = Callable[[Event], Iterable[Line]]

LINE_SECONDS = 10.0
"""Seconds between two status lines in plain output."""

WINDOW_SECONDS = 60.0
"""Window of the rate: long enough for a steady value, short enough that fresh originals soon leave it.

Fresh originals are cheap: in the window they would predict too high a rate for those that are due.
"""


class Tally(Protocol):
    """The counts of a run so far."""

    @property
    def originals(self) -> int:
        """Return how many originals are done."""
        ...

    @property
    def needed(self) -> int:
        """Return how many originals count towards a limit."""
        ...

    @property
    def problems(self) -> str:
        """Return the number of failures or differences as text for a status line."""
        ...


class Reporter(Protocol):
    """An output for the events and the progress of a run."""

    def emit(self, event: Event) -> None:
        """Report an event."""
        ...

    def update(self, tally: Tally, total: int | None) -> None:
        """Report the progress; `total` is None until the originals are counted."""
        ...


class JsonReporter:
    """A reporter that writes each event as a JSON line to standard output."""

    def emit(self, event: Event) -> None:
        """Write the event."""
        click.echo(msgspec.json.encode(event))

    def update(self, tally: Tally, total: int | None) -> None:
        """Do nothing: consumers of the events can count."""


class GuardedReporter:
    """A wrapper that stops the run when the output of its reporter can no longer be written."""

    def __init__(self, reporter: Reporter, stop: Stop) -> None:
        self._reporter = reporter
        self._stop = stop
        self.fault = ""
        """Why the output failed; empty while it works."""

    def emit(self, event: Event) -> None:
        """Report an event, unless the output has failed."""
        self._try(lambda: self._reporter.emit(event))

    def update(self, tally: Tally, total: int | None) -> None:
        """Report the progress, unless the output has failed."""
        self._try(lambda: self._reporter.update(tally, total))

    def check(self) -> None:
        """Raise an error if the output has failed.

        Raises:
            GaveUp: the output could not be written.
        """
        if self.fault:
            raise GaveUp(f"{self.fault} {CONTINUE}")

    def _try(self, report: Callable[[], None]) -> None:
        if self.fault:
            return
        try:
            report()
        except OSError as error:
            self.fault = f"The output cannot be written ({error.strerror})."
            self._stop.request(self.fault)


class StatusLine:
    """The text of the progress; with a `limit`, only originals that count towards it are counted."""

    def __init__(self, *, limit: int | None) -> None:
        self._limit = limit
        self._throughput = Throughput[int](lambda before, now: now - before, window_seconds=WINDOW_SECONDS)

    def update(self, tally: Tally, total: int | None) -> tuple[int, str]:
        """Record the progress; return how many originals are done, and the text."""
        done = tally.originals if self._limit is None else tally.needed
        self._throughput.record(done)
        share = f" of {total:,} ({100 * done / total:.1f} %)" if total else ""
        seconds = None if total is None else self._throughput.seconds_for(max(0, total - done))
        left = "" if seconds is None else f", {format_duration(seconds)} left"
        return done, f"{done:,}{share}, {self._throughput.per_second:.1f}/s, {tally.problems}{left}"


class LineReporter:
    """A reporter that writes events, and the status every `every_seconds`, as plain lines."""

    def __init__(self, describe: Describe, *, limit: int | None, every_seconds: float = LINE_SECONDS) -> None:
        self._describe = describe
        self._status = StatusLine(limit=limit)
        self._every_seconds = every_seconds
        self._next = time.monotonic() + every_seconds

    def emit(self, event: Event) -> None:
        """Write the lines of the event: answers to standard output, all others to standard error."""
        for line in self._describe(event):
            click.echo(line.text, err=not line.is_answer)

    def update(self, tally: Tally, total: int | None) -> None:
        """Write the status line if it is due."""
        _, status = self._status.update(tally, total)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every_seconds
            click.echo(status, err=True)


class BarReporter:
    """A reporter that draws a progress bar and writes events above it."""

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
            # Two writers to one terminal would garble each other's lines.
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
    """Yield a reporter: of JSON lines with `as_json`, a bar on a terminal, otherwise plain lines."""
    if as_json:
        yield GuardedReporter(JsonReporter(), stop)
    elif sys.stderr.isatty():
        with drawn_bar() as bar:
            yield GuardedReporter(BarReporter(describe, bar, limit=limit), stop)
    else:
        yield GuardedReporter(LineReporter(describe, limit=limit), stop)


def drawn_bar() -> Progress:
    """Return a progress bar on standard error; it is drawn within its `with` block."""
    return Progress(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
