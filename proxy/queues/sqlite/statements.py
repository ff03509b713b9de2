"""The SQL statements of the queue, one function each.

The column `life` holds `job.queued` (milliseconds). It distinguishes jobs that use the same key one after another. A
late worker's update of an ended job therefore cannot change the job that was enqueued under its key since.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from proxy.queues.sqlite.schema import DEFERRED, ENDED, FAILED, LIVE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


DEFERRED_OWNER = "deferred"

_ESCAPED = '"\\'
"""Characters that JSON escapes, besides those that are not ASCII."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A row of the table `jobs`: the fields are its columns, in their order. Times are epoch seconds, except `life`.

    `scheduled`: the job does not start before this time; 0 is at once, whatever the clock.
    `due`: the position in the queue; the same as `scheduled` where that is not 0.
    `expires`: when an ended job may be deleted; None is never.
    `owner`: the process that runs the job; `DEFERRED_OWNER` for a waiting job that is deferred.
    `body`: the job as SAQ serialises it; the column `status` overrides its status.
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
    """A worker's report, valid until `expires` (epoch seconds)."""

    queue: str
    worker_id: str
    body: str
    expires: float


def insert(connection: sqlite3.Connection, row: JobRow) -> bool:
    """Insert a job, replacing an ended one with the same key; return False if a live job has that key."""
    connection.execute(
        f"DELETE FROM jobs WHERE queue = ? AND key = ? AND {ENDED}",  # noqa: S608 - built from constants
        (row.queue, row.key),
    )
    added = connection.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))
    return added.rowcount == 1


def replace(connection: sqlite3.Connection, row: JobRow) -> None:
    """Update the row of a job; do nothing if it no longer exists."""
    connection.execute(
        "UPDATE jobs SET status = ?, scheduled = ?, due = ?, expires = ?, owner = ?, body = ?"
        " WHERE queue = ? AND key = ? AND life = ?",
        (*astuple(row)[4:], row.queue, row.key, row.life),
    )


def restore(connection: sqlite3.Connection, row: JobRow) -> None:
    """Update the row of a job, or insert it again if it was deleted meanwhile."""
    connection.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))
    replace(connection, row)


def update(connection: sqlite3.Connection, row: JobRow, *, status: str | None) -> None:
    """Update a job's body, and its status unless that is None; never reactivate a job that is being aborted.

    For such a job, an update without a status, or with the status "active", has no effect at all.
    """
    connection.execute(
        "UPDATE jobs SET status = coalesce(?, status), body = ? WHERE queue = ? AND key = ? AND life = ?"
        " AND NOT (status = 'aborting' AND coalesce(?, 'active') = 'active')",
        (status, row.body, row.queue, row.key, row.life, status),
    )


def take(connection: sqlite3.Connection, row: JobRow, *, owner: str, body: str | bytes) -> None:
    """Mark a queued job as active in the process `owner`; its position in the queue is kept for `put_back`."""
    connection.execute(
        "UPDATE jobs SET status = 'active', owner = ?, body = ? WHERE sequence = ?", (owner, body, row.sequence)
    )


def put_back(connection: sqlite3.Connection, row: JobRow) -> None:
    """Undo `take`; `row` is the row as it was before."""
    connection.execute(
        "UPDATE jobs SET status = 'queued', owner = ?, body = ? WHERE sequence = ? AND life = ? AND status = 'active'",
        (row.owner, row.body, row.sequence, row.life),
    )


def delete(connection: sqlite3.Connection, row: JobRow) -> None:
    """Delete a job."""
    connection.execute("DELETE FROM jobs WHERE queue = ? AND key = ? AND life = ?", (row.queue, row.key, row.life))


def prune(connection: sqlite3.Connection, now: float) -> None:
    """Delete what has expired: ended jobs, workers' reports, facts, and jobs that were set aside."""
    connection.execute(
        f"DELETE FROM jobs WHERE {ENDED} AND expires <= ?",  # noqa: S608 - built from constants
        (now,),
    )
    for table in ("workers", "facts", "set_aside"):
        connection.execute(f"DELETE FROM {table} WHERE expires <= ?", (now,))  # noqa: S608 - built from constants


def find(connection: sqlite3.Connection, queue: str, key: str) -> JobRow | None:
    """Return the job under `key`; None if it does not exist."""
    return _one(connection.execute("SELECT * FROM jobs WHERE queue = ? AND key = ?", (queue, key)))


def next_due(connection: sqlite3.Connection, queue: str, now: float) -> JobRow | None:
    """Return the next job that is due; None if no queued job is due yet."""
    # A single query would scan the jobs scheduled for later, of which a queue of callbacks may have thousands.
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
    """Return the earliest time at which a queued job may start (epoch seconds); infinity if none is queued."""
    found: float | None = connection.execute(
        "SELECT min(scheduled) FROM jobs WHERE queue = ? AND status = 'queued'", (queue,)
    ).fetchone()[0]
    return math.inf if found is None else found


REPORT_SECONDS = 60
"""The TTL of a worker's report."""


def shorten_waits(connection: sqlite3.Connection, now: float) -> None:
    """Let no queued job of any queue wait longer than it did when its wait began, as if that began now.

    If the clock is set back by a day, jobs would otherwise wait for a day longer. When a wait began is in the body, as
    `touched`, or in `life`; both are times of the clock as it was.
    """
    connection.execute(
        f"""
        WITH waits AS (
            SELECT sequence AS number, scheduled - max(life, CASE WHEN json_valid(body) THEN
                coalesce(json_extract(body, '$.touched'), 0) ELSE 0 END) / 1000.0 AS seconds
            FROM jobs WHERE status = 'queued' AND scheduled > ? AND {LIVE}
        )
        UPDATE jobs SET scheduled = ? + seconds, due = ? + seconds
        FROM waits WHERE sequence = number AND scheduled > ? + seconds
        """,  # noqa: S608 - built from constants
        (now, now, now, now),
    )
    latest = now + REPORT_SECONDS
    connection.execute("UPDATE workers SET expires = ? WHERE expires > ?", (latest, latest))
    connection.execute(
        f"UPDATE jobs SET due = ? WHERE status = 'queued' AND scheduled = 0 AND due > ? AND {LIVE}",  # noqa: S608 - as above
        (now, now),
    )


def active(connection: sqlite3.Connection, queue: str) -> list[JobRow]:
    """Return the jobs that workers hold."""
    found = connection.execute("SELECT * FROM jobs WHERE queue = ? AND status IN ('active', 'aborting')", (queue,))
    return [JobRow(*record) for record in found]


def live(connection: sqlite3.Connection, queue: str, *, offset: int, limit: int) -> list[JobRow]:
    """Return a page of the live jobs: running ones first, then waiting ones in the order of the queue."""
    found = connection.execute(
        "SELECT * FROM jobs WHERE queue = ? AND status IN ('new', 'queued', 'active')"
        " ORDER BY status, due, sequence LIMIT ? OFFSET ?",
        (queue, limit, offset),
    )
    return [JobRow(*record) for record in found]


def after(
    connection: sqlite3.Connection, queue: str, sequence: int, *, statuses: Iterable[str], limit: int
) -> list[JobRow]:
    """Return up to `limit` jobs with these statuses that were enqueued after the one numbered `sequence`."""
    found = connection.execute(
        # The plus signs keep SQLite from using the index on status, with which it would sort the whole table per page.
        "SELECT * FROM jobs WHERE +queue = ? AND sequence > ? AND +status IN (SELECT value FROM json_each(?))"
        " ORDER BY sequence LIMIT ?",
        (queue, sequence, json.dumps(list(statuses)), limit),
    )
    return [JobRow(*record) for record in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A selection of jobs by their stored text, which may contain more than is wanted."""

    statuses: tuple[str, ...]
    has_failed: bool = False
    """Only jobs that ended with an error; a complete one has it in its result, so its body contains `"error": {`."""
    text: str = ""
    """Only jobs that contain this text, in upper or lower case, if that can be found in the stored form."""


def newest(
    connection: sqlite3.Connection, queue: str, before: tuple[float, str], wanted: Wanted, *, limit: int
) -> list[JobRow]:
    """Return up to `limit` wanted jobs that were enqueued before a place, the newest first."""
    is_plain = wanted.text.isascii() and not {*wanted.text} & {*_ESCAPED}
    pattern = re.sub("([%_])", r"\\\1", wanted.text) if is_plain else ""
    index, condition = ("jobs_failed", FAILED) if wanted.has_failed else ("jobs_by_age", "true")
    found = connection.execute(
        f"SELECT * FROM jobs INDEXED BY {index} WHERE queue = ? AND (life, key) < (?, ?)"  # noqa: S608 - built from constants
        f" AND {condition} AND +status IN (SELECT value FROM json_each(?)) AND body LIKE ? ESCAPE '\\'"
        " ORDER BY life DESC, key DESC LIMIT ?",
        (queue, *before, json.dumps(wanted.statuses), f"%{pattern}%", limit),
    )
    return [JobRow(*record) for record in found]


def count(connection: sqlite3.Connection, queue: str, now: float) -> dict[str, int]:
    """Return the number of jobs by SAQ's kinds: "queued" (due), "active", "incomplete" (both, plus scheduled ones)."""
    later: int = connection.execute(
        "SELECT count(*) FROM jobs WHERE queue = ? AND status = 'queued' AND scheduled > ?", (queue, now)
    ).fetchone()[0]
    active: int = connection.execute(
        "SELECT count(*) FROM jobs WHERE queue = ? AND status = 'active'", (queue,)
    ).fetchone()[0]
    waiting = count_waiting(connection, queue) + count_deferred(connection, queue)
    return {"queued": waiting - later, "active": active, "incomplete": waiting + active}


def count_deferred(connection: sqlite3.Connection, queue: str) -> int:
    """Return the number of waiting jobs that are deferred."""
    found: int = connection.execute(
        f"SELECT count(*) FROM jobs INDEXED BY jobs_deferred WHERE queue = ? AND {DEFERRED}",  # noqa: S608 - built from constants
        (queue,),
    ).fetchone()[0]
    return found


def count_waiting(connection: sqlite3.Connection, queue: str) -> int:
    """Return the number of waiting jobs, scheduled ones included, without deferred ones.

    The count reads only the index, which takes 40 microseconds for a thousand jobs.
    """
    found: int = connection.execute(
        "SELECT count(*) FROM jobs WHERE queue = ? AND status IN ('new', 'queued')", (queue,)
    ).fetchone()[0]
    return found - count_deferred(connection, queue)


def live_keys(connection: sqlite3.Connection, queue: str, limit: int) -> list[str]:
    """Return the keys of up to `limit` live jobs: running ones first, then the oldest of the waiting ones."""
    # SQLite builds this one row without holding the GIL. Fetching thousands of rows would contend for it at each row.
    found: str = connection.execute(
        "SELECT json_group_array(key)"  # noqa: S608 - built from constants
        f" FROM (SELECT key FROM jobs WHERE queue = ? AND {LIVE} ORDER BY status, life LIMIT ?)",
        (queue, limit),
    ).fetchone()[0]
    keys: list[str] = json.loads(found)
    return keys


def oldest_waiting(connection: sqlite3.Connection, queue: str) -> float | None:
    """Return when the oldest queued job was enqueued (epoch seconds); None if none is queued."""
    found: int | None = connection.execute(
        f"SELECT min(life) FROM jobs WHERE queue = ? AND status = 'queued' AND {LIVE}",  # noqa: S608 - built from constants
        (queue,),
    ).fetchone()[0]
    return None if found is None else found / 1000


def keep_report(connection: sqlite3.Connection, report: WorkerReport) -> None:
    """Store a worker's report, replacing its previous one."""
    connection.execute(
        "INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?)",
        (report.queue, report.worker_id, report.body, report.expires),
    )


def reports(connection: sqlite3.Connection, queue: str, now: float) -> dict[str, str]:
    """Return the workers' reports that have not expired, by worker id."""
    found = connection.execute("SELECT worker_id, body FROM workers WHERE queue = ? AND expires > ?", (queue, now))
    return dict(found.fetchall())


def _one(found: sqlite3.Cursor) -> JobRow | None:
    record = found.fetchone()
    return None if record is None else JobRow(*record)
