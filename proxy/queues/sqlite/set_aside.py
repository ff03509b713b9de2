"""The table of jobs that cannot be read: they are kept beside the queue, so that a version that can read them may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.queues.sqlite.statements import JobRow

if TYPE_CHECKING:
    import sqlite3


def set_aside(connection: sqlite3.Connection, row: JobRow, *, reason: str, expires: float) -> None:
    """Move a job out of the queue, to be kept until `expires` (epoch seconds)."""
    connection.execute(
        "INSERT INTO set_aside SELECT NULL, queue, key, life, status, scheduled, due, ?, owner, body, ?"
        " FROM jobs WHERE sequence = ?",
        (expires, reason, row.sequence),
    )
    connection.execute("DELETE FROM jobs WHERE sequence = ?", (row.sequence,))


def set_aside_rows(connection: sqlite3.Connection, queue: str) -> list[JobRow]:
    """Return the jobs of a queue that were set aside."""
    found = connection.execute("SELECT * FROM set_aside WHERE queue = ?", (queue,))
    return [JobRow(*record[:-1]) for record in found]  # without the reason


def take_back(connection: sqlite3.Connection, row: JobRow) -> None:
    """Queue a job again that was set aside, unless another job has its key by now."""
    added = connection.execute(
        "INSERT OR IGNORE INTO jobs SELECT NULL, queue, key, life, 'queued', scheduled, due, NULL, NULL, body"
        " FROM set_aside WHERE sequence = ?",
        (row.sequence,),
    )
    if added.rowcount == 1:
        connection.execute("DELETE FROM set_aside WHERE sequence = ?", (row.sequence,))
