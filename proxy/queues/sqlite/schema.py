"""The database schema of a queue on SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x47464A51
"""The id ("GFJQ") that identifies a file as ours, so that the database of another program is never written to."""

SCHEMA_VERSION = 1
"""Increment it for a change that older versions of this service cannot work with; a new index or table is none."""

LIVE = "status IN ('new', 'queued', 'active', 'aborting')"
DEFERRED = "status = 'queued' AND owner = 'deferred'"
ENDED = "status IN ('complete', 'failed', 'aborted')"
FAILED = """(status IN ('failed', 'aborted') OR (status = 'complete' AND instr(body, '"error": {')))"""
"""SQLite uses a partial index only if a statement repeats the index's condition literally."""

_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS jobs (
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
    "CREATE INDEX IF NOT EXISTS jobs_by_turn ON jobs (queue, status, scheduled, due, sequence)",
    "DROP INDEX IF EXISTS jobs_in_line",  # created by earlier versions
    "CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (queue, life, key)",
    f"CREATE INDEX IF NOT EXISTS jobs_live ON jobs (queue, status, life, key) WHERE {LIVE}",
    f"CREATE INDEX IF NOT EXISTS jobs_deferred ON jobs (queue) WHERE {DEFERRED}",
    f"CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (expires) WHERE {ENDED}",
    f"CREATE INDEX IF NOT EXISTS jobs_failed ON jobs (queue, life, key) WHERE {FAILED}",
    """
    CREATE TABLE IF NOT EXISTS workers (
        queue TEXT NOT NULL,
        worker_id TEXT NOT NULL,
        body TEXT NOT NULL,
        expires REAL NOT NULL,
        PRIMARY KEY (queue, worker_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS set_aside (
        sequence INTEGER PRIMARY KEY,
        queue TEXT NOT NULL,
        key TEXT NOT NULL,
        life INTEGER NOT NULL,
        status TEXT NOT NULL,
        scheduled REAL NOT NULL,
        due REAL NOT NULL,
        expires REAL NOT NULL,
        owner TEXT,
        body TEXT NOT NULL,
        reason TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS facts (
        queue TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        expires REAL,
        PRIMARY KEY (queue, name)
    ) WITHOUT ROWID
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


def prepare(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty file; in an existing queue, create missing indexes.

    Raises:
        QueueUnavailable: the file belongs to another program, or to a newer version of this service.
    """
    application, version, tables = (
        connection.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if application != APPLICATION_ID and (application, version, tables) != (0, 0, 0):
        raise QueueUnavailable("QUEUE is the database of another program: set it to a separate file.")
    if version > SCHEMA_VERSION:
        raise QueueUnavailable(
            "The queue was created by a newer version of this service: run that version, or set QUEUE to a new file."
        )
    for statement in _SCHEMA:
        connection.execute(statement)
