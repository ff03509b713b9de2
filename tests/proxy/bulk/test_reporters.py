"""Reports of a run: plain lines, JSON lines, a bar on a terminal."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.progress import Progress, TextColumn

from proxy.bulk.checkpoint import RunTally
from proxy.bulk.events import Counted, OriginalDone, RetryScheduled, RunStarted, Stopping, describe
from proxy.bulk.reporters import BarReporter, JsonReporter, LineReporter, drawn_bar
from tests.proxy.bulk.runs import ENDED

if TYPE_CHECKING:
    import pytest

    from proxy.bulk.events import Event

EVENTS: list[Event] = [
    RunStarted(run="r1", prefix="gall/", mode="stale", sizes=("small",), after="gall/1", resumed=True),
    Counted(originals=9),
    OriginalDone(key="gall/2", result="rendered", seconds=0.1),
    OriginalDone(key="gall/3", result="failed", code="corrupt", detail="It ends early."),
    OriginalDone(
        key="gall/4", result="due", reasons={"small": "missing", "large": "stale profile", "medium": "missing"}
    ),
    RetryScheduled(code="store-unavailable", detail="It is away.", retry_in_seconds=1.5),
    Stopping(detail="Interrupted.", advice="press Ctrl-C again to stop now", in_progress=2),
    Stopping(detail="Received SIGTERM.", in_progress=1),
    Stopping(detail="Interrupted.", advice="press Ctrl-C again to stop now", in_progress=41, left_to_workers=True),
    Stopping(detail="Internal error.", in_progress=0),
]


def test_lines_say_what_a_person_wants_to_know(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = LineReporter(describe, limit=None)
    for event in EVENTS:
        reporter.emit(event)
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "Resuming run r1 after gall/1. Use --restart to start over.",
        "Failed gall/3: corrupt: It ends early.",
        "Store unavailable, retrying in 1.5 s: It is away.",
        "Interrupted. Finishing 2 originals; press Ctrl-C again to stop now.",
        "Received SIGTERM. Finishing 1 original.",
        "Interrupted. The workers finish the queued jobs.",
        "Internal error.",
    ]
    assert told.out.splitlines() == ["gall/4: missing: small, medium; stale profile: large"]


def test_a_line_now_and_then_says_how_far_a_run_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reporter = LineReporter(describe, limit=None, every_seconds=0)
    reporter.update(RunTally(changed=3, fresh=1, failed=1), 2000)
    reporter.update(RunTally(changed=3, fresh=1, failed=1), None)
    one, other = capsys.readouterr().err.splitlines()
    assert one == "5 of 2,000 (0.2 %), 0.0/s, 1 failed"
    assert other == "5, 0.0/s, 1 failed"


def test_with_a_limit_only_those_count_that_needed_something(
    capsys: pytest.CaptureFixture[str],
) -> None:
    LineReporter(describe, limit=10, every_seconds=0).update(RunTally(changed=3, fresh=100), 10)
    assert capsys.readouterr().err.startswith("3 of 10 (30.0 %)")


def test_a_bar_keeps_its_line_and_what_happens_stands_above_it() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    with Progress(TextColumn("{task.description}"), console=console, auto_refresh=False) as bar:
        reporter = BarReporter(describe, bar, limit=None)
        reporter.update(RunTally(changed=3, failed=1), 8)
        for event in EVENTS:
            reporter.emit(event)
        reporter.emit(ENDED)
    lines = screen.getvalue()
    assert lines.index("Failed gall/3: corrupt") < lines.rindex("4 of 8 (50.0 %), 0.0/s, 1 failed")


def test_each_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = JsonReporter()
    for event in [*EVENTS, ENDED]:
        reporter.emit(event)
    reporter.update(RunTally(), None)
    told = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in told] == [
        "started",
        "counted",
        "original",
        "original",
        "original",
        "retry",
        "stopping",
        "stopping",
        "stopping",
        "stopping",
        "ended",
    ]
    assert told[3] == {
        "event": "original",
        "key": "gall/3",
        "result": "failed",
        "code": "corrupt",
        "detail": "It ends early.",
    }


def test_the_bar_is_for_terminals_alone() -> None:
    assert not sys.stderr.isatty()
    with drawn_bar() as bar:
        BarReporter(describe, bar, limit=None).update(RunTally(changed=1), None)
