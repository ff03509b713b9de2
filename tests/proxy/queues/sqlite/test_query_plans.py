"""The cost of reading all jobs of an SQLite queue page by page."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count

from proxy.queues.sqlite import schema, statements

PAGE = 50
STATUSES = ["queued", "complete"]


def steps_of_a_page(jobs: int) -> int:
    """Return the cost of one page out of `jobs` jobs, in units of five instructions of SQLite's virtual machine."""
    steps = count()
    with closing(sqlite3.connect(":memory:")) as connection:
        schema.prepare(connection)
        for number in range(jobs):
            connection.execute(
                "INSERT INTO jobs (queue, key, life, status, scheduled, due, body) VALUES ('a', ?, 1, ?, 0, 0, '')",
                (str(number), STATUSES[number % 2]),
            )
        connection.set_progress_handler(lambda: next(steps) < 0, 5)
        assert len(statements.after(connection, "a", jobs // 2, statuses=STATUSES, limit=PAGE)) == PAGE
    return next(steps)


def test_a_page_costs_what_a_page_costs_however_many_jobs_are_kept() -> None:
    assert steps_of_a_page(10_000) < 2 * steps_of_a_page(200)
