"""The cost of the SQLite queue's statements, in instructions of SQLite's virtual machine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from proxy.queues.sqlite import schema, statements

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1000.0
DONE = "complete"
LATER = "scheduled"


def row(number: int, status: str) -> statements.JobRow:
    scheduled = NOW + number if status == LATER else 0.0
    status = "queued" if status == LATER else status
    due = scheduled or number
    return statements.JobRow(
        None, "images", f"{number:032}", number, status, scheduled, due, NOW + number, None, "{}" * 500
    )


def steps(connection: sqlite3.Connection, statement: Callable[[sqlite3.Connection], object]) -> int:
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    connection.set_progress_handler(count, 1)
    statement(connection)
    connection.set_progress_handler(None, 1)
    return taken


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        pytest.param(
            partial(statements.prune, now=NOW), DONE, id="forgetting what is over, of thousands that are kept"
        ),
        pytest.param(
            partial(statements.prune, now=NOW), "queued", id="forgetting what is over, of thousands that wait"
        ),
        pytest.param(
            partial(statements.oldest_waiting, queue="images"), "queued", id="the oldest of thousands that wait"
        ),
        pytest.param(
            partial(statements.count_waiting, queue="images"), DONE, id="counting those that wait, none of them"
        ),
        pytest.param(partial(statements.live_keys, queue="images", limit=9), "queued", id="the first of thousands"),
        pytest.param(partial(statements.next_due, queue="images", now=NOW), "queued", id="the next of thousands"),
        pytest.param(partial(statements.next_due, queue="images", now=NOW), LATER, id="the next, of thousands put off"),
        pytest.param(partial(statements.next_scheduled, queue="images"), LATER, id="when to look again for one"),
    ],
)
def test_what_is_asked_often_costs_the_same_however_many_jobs_there_are(
    statement: Callable[[sqlite3.Connection], object], status: str
) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.prepare(connection)
        cost = []
        for first, last in ((1, 20), (20, 3000)):
            for number in range(first, last):
                statements.insert(connection, row(number, status))
            cost.append(steps(connection, statement))
    assert cost[1] <= cost[0] + 20


def test_counting_those_that_wait_reads_none_of_them() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.prepare(connection)
        for number in range(1, 1000):
            statements.insert(connection, row(number, "queued"))
        assert statements.count_waiting(connection, "images") == 999
        assert steps(connection, partial(statements.count_waiting, queue="images")) < 5 * 999
