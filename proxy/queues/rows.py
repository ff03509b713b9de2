"""The jobs of a queue as rows of SQLite: one function a statement.

`job.queued` (milliseconds) is kept as `life`: it tells one life of a key from the next, so that what a late worker
still has to say about a job that ended cannot touch the job that was enqueued under the same key since.
"""

from __future__ import annotations

import json
import math
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

APPLICATION_ID = 0x47464A51
"""Marks a file as ours ("GFJQ"), so that no other program's database is ever written into."""

SCHEMA_VERSION = 1

_SCHEMA = (
    """
    CREATE TABLE jobs (
        sequence INTEGER PRIMARY KEY,
        queue TEXT NOT NULL,
        key TEXT NOT NULL,
        life INTEGER NOT NULL,
        status TEXT NOT NULL,
        scheduled REAL NOT NULL,
        due REAL NOT NULL,
        expires REAL,
        owner TEXT,
        body TEXT NOT NULL,
        UNIQUE (queue, key)
    )
    """,
    "CREATE INDEX jobs_in_line ON jobs (queue, status, due, sequence)",
    """
    CREATE TABLE workers (
        queue TEXT NOT NULL,
        worker_id TEXT NOT NULL,
        body TEXT NOT NULL,
        expires REAL NOT NULL,
        PRIMARY KEY (queue, worker_id)
    )
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One job; the fields are the columns, in their order. Times are epoch seconds.

    `scheduled`: not before then; 0 is at once, whatever the clock says.
    `due`: its place in the line. `expires`: when an ended job may be forgotten; None is never.
    `owner`: the process that has it. `body`: the job as SAQ writes it, but for its status.
    """

    sequence: int | None
    queue: str
    key: str
    life: int
    status: str
    scheduled: float
    due: float
    expires: float | None
    owner: str | None
    body: str | bytes


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself, good until `expires` (epoch seconds)."""

    queue: str
    worker_id: str
    body: str
    expires: float


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file; accept those that are there.

    Raises:
        QueueUnavailable: the file is another program's, or of a newer version of this one.
    """
    application, version, tables = (
        connection.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if (application, version, tables) == (0, 0, 0):
        for statement in _SCHEMA:
            connection.execute(statement)
    elif application != APPLICATION_ID:
        raise QueueUnavailable("QUEUE names another program's database: set it to a file of its own.")
    elif version > SCHEMA_VERSION:
        raise QueueUnavailable("The queue was made by a newer version of this service: run that, or a new file.")


def insert(connection: sqlite3.Connection, row: Row) -> bool:
    """Add a job, in place of an ended one of its key; False when one of its key is live."""
    connection.execute(
        "DELETE FROM jobs WHERE queue = ? AND key = ? AND status IN ('complete', 'failed', 'aborted')",
        (row.queue, row.key),
    )
    added = connection.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))
    return added.rowcount == 1


def replace(connection: sqlite3.Connection, row: Row) -> None:
    """Write a job over its own row; nothing happens when that is gone."""
    connection.execute(
        "UPDATE jobs SET status = ?, scheduled = ?, due = ?, expires = ?, owner = ?, body = ?"
        " WHERE queue = ? AND key = ? AND life = ?",
        (*astuple(row)[4:], row.queue, row.key, row.life),
    )


def restore(connection: sqlite3.Connection, row: Row) -> None:
    """Write a job over its own row, or back where it was forgotten meanwhile."""
    connection.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))
    replace(connection, row)


def update(connection: sqlite3.Connection, row: Row, *, status: str | None) -> None:
    """Write a job's body, and its status if given; a job that is being aborted is not made active again by that."""
    connection.execute(
        "UPDATE jobs SET status = coalesce(?, status), body = ? WHERE queue = ? AND key = ? AND life = ?"
        " AND NOT (status = 'aborting' AND coalesce(?, 'active') = 'active')",
        (status, row.body, row.queue, row.key, row.life, status),
    )


def take(connection: sqlite3.Connection, row: Row, *, owner: str, body: str | bytes) -> None:
    """Make a queued job active, `owner`'s; its place in line is kept for `put_back`."""
    connection.execute(
        "UPDATE jobs SET status = 'active', owner = ?, body = ? WHERE sequence = ?", (owner, body, row.sequence)
    )


def put_back(connection: sqlite3.Connection, row: Row) -> None:
    """Undo `take` of the row that was read before it."""
    connection.execute(
        "UPDATE jobs SET status = 'queued', owner = NULL, body = ?"
        " WHERE sequence = ? AND life = ? AND status = 'active'",
        (row.body, row.sequence, row.life),
    )


def delete(connection: sqlite3.Connection, row: Row) -> None:
    """Forget a job."""
    connection.execute("DELETE FROM jobs WHERE queue = ? AND key = ? AND life = ?", (row.queue, row.key, row.life))


def prune(connection: sqlite3.Connection, now: float) -> None:
    """Forget the ended jobs, and the workers' reports, whose time is over."""
    connection.execute(
        "DELETE FROM jobs WHERE status IN ('complete', 'failed', 'aborted') AND expires <= ?",
        (now,),
    )
    connection.execute("DELETE FROM workers WHERE expires <= ?", (now,))


def find(connection: sqlite3.Connection, queue: str, key: str) -> Row | None:
    """Read one job; None when there is none of that key."""
    return _one(connection.execute("SELECT * FROM jobs WHERE queue = ? AND key = ?", (queue, key)))


def first_in_line(connection: sqlite3.Connection, queue: str, now: float) -> Row | None:
    """Read the queued job whose turn it is; None when none may be taken yet."""
    return _one(
        connection.execute(
            "SELECT * FROM jobs WHERE queue = ? AND status = 'queued' AND scheduled <= ?"
            " ORDER BY due, sequence LIMIT 1",
            (queue, now),
        )
    )


def next_scheduled(connection: sqlite3.Connection, queue: str) -> float:
    """Tell when the first of the queued jobs may be taken; infinity when none waits."""
    found: float | None = connection.execute(
        "SELECT min(scheduled) FROM jobs WHERE queue = ? AND status = 'queued'", (queue,)
    ).fetchone()[0]
    return math.inf if found is None else found


def held(connection: sqlite3.Connection, queue: str) -> list[Row]:
    """Read the jobs that a worker has."""
    found = connection.execute("SELECT * FROM jobs WHERE queue = ? AND status IN ('active', 'aborting')", (queue,))
    return [Row(*record) for record in found]


def live(connection: sqlite3.Connection, queue: str, *, offset: int, limit: int) -> list[Row]:
    """Read a page of the jobs that run or wait: those that run first, then the line."""
    found = connection.execute(
        "SELECT * FROM jobs WHERE queue = ? AND status IN ('new', 'queued', 'active')"
        " ORDER BY status, due, sequence LIMIT ? OFFSET ?",
        (queue, limit, offset),
    )
    return [Row(*record) for record in found]


def after(
    connection: sqlite3.Connection, queue: str, sequence: int, *, statuses: Iterable[str], limit: int
) -> list[Row]:
    """Read up to `limit` jobs of these statuses that were enqueued after the one numbered `sequence`."""
    found = connection.execute(
        # The plus signs keep SQLite from its index of statuses, for which it would sort the whole table at each page.
        "SELECT * FROM jobs WHERE +queue = ? AND sequence > ? AND +status IN (SELECT value FROM json_each(?))"
        " ORDER BY sequence LIMIT ?",
        (queue, sequence, json.dumps(list(statuses)), limit),
    )
    return [Row(*record) for record in found]


def count(connection: sqlite3.Connection, queue: str, now: float) -> dict[str, int]:
    """Count the jobs by SAQ's kinds: "queued" (may be taken now), "active", "incomplete" (both, and the scheduled)."""
    record = connection.execute(
        "SELECT count(*) FILTER (WHERE status = 'queued' AND scheduled <= ?),"
        " count(*) FILTER (WHERE status = 'active'), count(*)"
        " FROM jobs WHERE queue = ? AND status IN ('new', 'queued', 'active')",
        (now, queue),
    ).fetchone()
    return dict(zip(("queued", "active", "incomplete"), record, strict=True))


def keep_report(connection: sqlite3.Connection, report: Report) -> None:
    """Keep what a worker says of itself, in place of what it said before."""
    connection.execute(
        "INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?)",
        (report.queue, report.worker_id, report.body, report.expires),
    )


def reports(connection: sqlite3.Connection, queue: str, now: float) -> dict[str, str]:
    """Read what the workers said of themselves, by their ids."""
    found = connection.execute("SELECT worker_id, body FROM workers WHERE queue = ? AND expires > ?", (queue, now))
    return dict(found.fetchall())


def _one(found: sqlite3.Cursor) -> Row | None:
    record = found.fetchone()
    return None if record is None else Row(*record)
