"""The jobs of a queue as rows of SQLite: one function a statement.

`job.queued` (milliseconds) is kept as `life`: it tells one life of a key from the next, so that what a late worker
still has to say about a job that ended cannot touch the job that was enqueued under the same key since.
"""

from __future__ import annotations

import json
import math
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from proxy.queues.sqlite.schema import ENDED, LIVE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job; the fields are the columns, in their order. Times are epoch seconds.

    `scheduled`: not before then; 0 is at once, whatever the clock says.
    `due`: its place in the line, the same as `scheduled` where that is not 0.
    `expires`: when an ended job may be forgotten; None is never.
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
class WorkerReport:
    """What a worker says of itself, good until `expires` (epoch seconds)."""

    queue: str
    worker_id: str
    body: str
    expires: float


def insert(connection: sqlite3.Connection, row: JobRow) -> bool:
    """Add a job, in place of an ended one of its key; False when one of its key is live."""
    connection.execute(
        f"DELETE FROM jobs WHERE queue = ? AND key = ? AND {ENDED}",  # noqa: S608 - the words are ours
        (row.queue, row.key),
    )
    added = connection.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))
    return added.rowcount == 1


def replace(connection: sqlite3.Connection, row: JobRow) -> None:
    """Write a job over its own row; nothing happens when that is gone."""
    connection.execute(
        "UPDATE jobs SET status = ?, scheduled = ?, due = ?, expires = ?, owner = ?, body = ?"
        " WHERE queue = ? AND key = ? AND life = ?",
        (*astuple(row)[4:], row.queue, row.key, row.life),
    )


def restore(connection: sqlite3.Connection, row: JobRow) -> None:
    """Write a job over its own row, or back where it was forgotten meanwhile."""
    connection.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))
    replace(connection, row)


def update(connection: sqlite3.Connection, row: JobRow, *, status: str | None) -> None:
    """Write a job's body, and its status if given; a job that is being aborted is not made active again by that."""
    connection.execute(
        "UPDATE jobs SET status = coalesce(?, status), body = ? WHERE queue = ? AND key = ? AND life = ?"
        " AND NOT (status = 'aborting' AND coalesce(?, 'active') = 'active')",
        (status, row.body, row.queue, row.key, row.life, status),
    )


def take(connection: sqlite3.Connection, row: JobRow, *, owner: str, body: str | bytes) -> None:
    """Make a queued job active, `owner`'s; its place in line is kept for `put_back`."""
    connection.execute(
        "UPDATE jobs SET status = 'active', owner = ?, body = ? WHERE sequence = ?", (owner, body, row.sequence)
    )


def put_back(connection: sqlite3.Connection, row: JobRow) -> None:
    """Undo `take` of the row that was read before it."""
    connection.execute(
        "UPDATE jobs SET status = 'queued', owner = NULL, body = ?"
        " WHERE sequence = ? AND life = ? AND status = 'active'",
        (row.body, row.sequence, row.life),
    )


def delete(connection: sqlite3.Connection, row: JobRow) -> None:
    """Forget a job."""
    connection.execute("DELETE FROM jobs WHERE queue = ? AND key = ? AND life = ?", (row.queue, row.key, row.life))


def prune(connection: sqlite3.Connection, now: float) -> None:
    """Forget the ended jobs, and the workers' reports, whose time is over."""
    connection.execute(
        f"DELETE FROM jobs WHERE {ENDED} AND expires <= ?",  # noqa: S608 - the words are ours
        (now,),
    )
    connection.execute("DELETE FROM workers WHERE expires <= ?", (now,))


def find(connection: sqlite3.Connection, queue: str, key: str) -> JobRow | None:
    """Read one job; None when there is none of that key."""
    return _one(connection.execute("SELECT * FROM jobs WHERE queue = ? AND key = ?", (queue, key)))


def next_due(connection: sqlite3.Connection, queue: str, now: float) -> JobRow | None:
    """Read the queued job whose turn it is; None when none may be taken yet."""
    # Asked as one, those that are scheduled for later would be looked through: thousands, where callbacks are owed.
    firsts = (
        _one(
            connection.execute(
                "SELECT * FROM jobs WHERE queue = ? AND status = 'queued' AND scheduled = 0"
                " ORDER BY due, sequence LIMIT 1",
                (queue,),
            )
        ),
        _one(
            connection.execute(
                "SELECT * FROM jobs WHERE queue = ? AND status = 'queued' AND scheduled > 0 AND scheduled <= ?"
                " ORDER BY scheduled, due, sequence LIMIT 1",
                (queue, now),
            )
        ),
    )
    return min((row for row in firsts if row), key=lambda row: (row.due, row.sequence), default=None)


def next_scheduled(connection: sqlite3.Connection, queue: str) -> float:
    """Tell when the first of the queued jobs may be taken; infinity when none waits."""
    found: float | None = connection.execute(
        "SELECT min(scheduled) FROM jobs WHERE queue = ? AND status = 'queued'", (queue,)
    ).fetchone()[0]
    return math.inf if found is None else found


def active(connection: sqlite3.Connection, queue: str) -> list[JobRow]:
    """Read the jobs that a worker has."""
    found = connection.execute("SELECT * FROM jobs WHERE queue = ? AND status IN ('active', 'aborting')", (queue,))
    return [JobRow(*record) for record in found]


def live(connection: sqlite3.Connection, queue: str, *, offset: int, limit: int) -> list[JobRow]:
    """Read a page of the jobs that run or wait: those that run first, then the line."""
    found = connection.execute(
        "SELECT * FROM jobs WHERE queue = ? AND status IN ('new', 'queued', 'active')"
        " ORDER BY status, due, sequence LIMIT ? OFFSET ?",
        (queue, limit, offset),
    )
    return [JobRow(*record) for record in found]


def after(
    connection: sqlite3.Connection, queue: str, sequence: int, *, statuses: Iterable[str], limit: int
) -> list[JobRow]:
    """Read up to `limit` jobs of these statuses that were enqueued after the one numbered `sequence`."""
    found = connection.execute(
        # The plus signs keep SQLite from its index of statuses, for which it would sort the whole table at each page.
        "SELECT * FROM jobs WHERE +queue = ? AND sequence > ? AND +status IN (SELECT value FROM json_each(?))"
        " ORDER BY sequence LIMIT ?",
        (queue, sequence, json.dumps(list(statuses)), limit),
    )
    return [JobRow(*record) for record in found]


def count(connection: sqlite3.Connection, queue: str, now: float) -> dict[str, int]:
    """Count the jobs by SAQ's kinds: "queued" (may be taken now), "active", "incomplete" (both, and the scheduled)."""
    later: int = connection.execute(
        "SELECT count(*) FROM jobs WHERE queue = ? AND status = 'queued' AND scheduled > ?", (queue, now)
    ).fetchone()[0]
    active: int = connection.execute(
        "SELECT count(*) FROM jobs WHERE queue = ? AND status = 'active'", (queue,)
    ).fetchone()[0]
    waiting = count_waiting(connection, queue)
    return {"queued": waiting - later, "active": active, "incomplete": waiting + active}


def count_waiting(connection: sqlite3.Connection, queue: str) -> int:
    """Count the jobs that wait, the scheduled too, in the index alone: 40 microseconds for a thousand."""
    found: int = connection.execute(
        "SELECT count(*) FROM jobs WHERE queue = ? AND status IN ('new', 'queued')", (queue,)
    ).fetchone()[0]
    return found


def live_keys(connection: sqlite3.Connection, queue: str, limit: int) -> list[str]:
    """Read the keys of the jobs that wait or run, those that run and then the oldest if there are more than `limit`."""
    # One row, made while other threads run; to fetch thousands would stop for theirs at each.
    found: str = connection.execute(
        "SELECT json_group_array(key)"  # noqa: S608 - the words are ours
        f" FROM (SELECT key FROM jobs WHERE queue = ? AND {LIVE} ORDER BY status, life LIMIT ?)",
        (queue, limit),
    ).fetchone()[0]
    keys: list[str] = json.loads(found)
    return keys


def oldest_waiting(connection: sqlite3.Connection, queue: str) -> float | None:
    """Tell when the job that waits for longest was enqueued; None when none waits."""
    found: int | None = connection.execute(
        f"SELECT min(life) FROM jobs WHERE queue = ? AND status = 'queued' AND {LIVE}",  # noqa: S608 - the words are ours
        (queue,),
    ).fetchone()[0]
    return None if found is None else found / 1000


def keep_report(connection: sqlite3.Connection, report: WorkerReport) -> None:
    """Keep what a worker says of itself, in place of what it said before."""
    connection.execute(
        "INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?)",
        (report.queue, report.worker_id, report.body, report.expires),
    )


def reports(connection: sqlite3.Connection, queue: str, now: float) -> dict[str, str]:
    """Read what the workers said of themselves, by their ids."""
    found = connection.execute("SELECT worker_id, body FROM workers WHERE queue = ? AND expires > ?", (queue, now))
    return dict(found.fetchall())


def _one(found: sqlite3.Cursor) -> JobRow | None:
    record = found.fetchone()
    return None if record is None else JobRow(*record)
