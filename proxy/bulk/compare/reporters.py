"""How a comparison is told: JSON lines for machines, plain lines, a bar on a terminal."""

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

from proxy.bulk.compare.causes import TITLES
from proxy.bulk.compare.events import ComparisonEnded, ComparisonStarted
from proxy.bulk.events import RetryScheduled, Stopping
from proxy.concurrency.tempo import Throughput, format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy.bulk.compare.database import ComparisonTally
    from proxy.bulk.events import Event

LINE_SECONDS = 10.0
"""How often a plain line says how far a comparison is."""


class Reporter(Protocol):
    """Who tells of a comparison."""

    def tell(self, event: Event) -> None:
        """Tell that something happened."""
        ...

    def move(self, tally: ComparisonTally, total: int | None) -> None:
        """Show how far it is, of how many originals if that is known."""
        ...


class JsonReporter:
    """Writes each event as one JSON line, on standard output."""

    def tell(self, event: Event) -> None:
        """Write the event."""
        click.echo(msgspec.json.encode(event))

    def move(self, tally: ComparisonTally, total: int | None) -> None:
        """Write nothing: whoever reads events can count."""


class LineReporter:
    """Writes what happens, and now and then how far the comparison is, in plain lines on standard error."""

    def __init__(self) -> None:
        self._tempo = Throughput()
        self._next = time.monotonic() + LINE_SECONDS

    def tell(self, event: Event) -> None:
        """Write what a person wants to know of the event."""
        write(event, say=lambda line: click.echo(line, err=True), answer=click.echo)

    def move(self, tally: ComparisonTally, total: int | None) -> None:
        """Write a line, every once in a while."""
        self._tempo.note(tally.originals)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            click.echo(_line(self._tempo, tally, total), err=True)


class BarReporter:
    """Draws how far the comparison is; what happens is written above the bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tempo = Throughput()
        self._task = progress.add_task("", total=None)

    def tell(self, event: Event) -> None:
        """Write what a person wants to know of the event."""
        if isinstance(event, ComparisonEnded):
            self._progress.stop()
        # Two that write to one terminal would write into each other's lines.
        write(event, say=self._say, answer=self._say if sys.stdout.isatty() else click.echo)

    def move(self, tally: ComparisonTally, total: int | None) -> None:
        """Draw the bar anew."""
        self._tempo.note(tally.originals)
        line = _line(self._tempo, tally, total)
        self._progress.update(self._task, completed=tally.originals, total=total, description=line)

    def _say(self, line: str) -> None:
        self._progress.console.print(Text(line), soft_wrap=True)


@contextmanager
def bar() -> Iterator[BarReporter]:
    """Draw a bar on the terminal of standard error for the length of the block."""
    columns = BarColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield BarReporter(progress)


def write(event: Event, *, say: Callable[[str], None], answer: Callable[[str], None]) -> None:
    """Say what a person wants to know of an event; what came of it all is the answer. Differences are the report's."""
    match event:
        case ComparisonStarted() if event.seen_to:
            say(f"going on after {event.seen_to:,} originals; --restart would begin anew")
        case RetryScheduled():
            say(f"trouble, trying again in {event.again_in_seconds:g} s: {event.detail}")
        case Stopping():
            say(f"stopped: {event.detail}")
        case ComparisonEnded():
            for line in summary(event):
                answer(line)
        case _:
            pass


def summary(ended: ComparisonEnded) -> Iterator[str]:
    """Give what came of a comparison, in lines."""
    word = "finished" if ended.is_finished else "not finished"
    counts = f"{ended.alike:,} alike, {ended.different:,} different"
    absent = f", {ended.absent:,} on neither side" if ended.absent else ""
    yield f"{word}: {ended.originals:,} originals, {counts}{absent}; {format_duration(ended.seconds)}"
    for cause, number in sorted(ended.causes.items(), key=lambda item: -item[1]):
        yield f"{number:>9,}  {TITLES[cause]} ({cause})"
    if ended.excused:
        yield f"{ended.excused:,} of them only for causes that are allowed"
    if ended.is_finished and not ended.is_within_budget:
        yield "more differ than --max-different allows"
    yield f"report: {ended.report}"
    if not ended.is_finished:
        yield "the same command goes on from here"


def _line(tempo: Throughput, tally: ComparisonTally, total: int | None) -> str:
    share = f" of {total:,} ({100 * tally.originals / total:.1f} %)" if total else ""
    seconds = tempo.seconds_left(total)
    left = "" if seconds is None else f", {format_duration(seconds)} left"
    return f"{tally.originals:,}{share}, {tempo.per_second:.1f}/s, {tally.different:,} different{left}"
