"""The tables of a queue in SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x47464A51
"""Marks a file as ours ("GFJQ"), so that no other program's database is ever written into."""

SCHEMA_VERSION = 1
"""Raised by what an older version of this service could not work with; it can with another index."""

LIVE = "status IN ('new', 'queued', 'active', 'aborting')"
ENDED = "status IN ('complete', 'failed', 'aborted')"
"""SQLite uses an index of some rows only where a statement picks them in the same words."""

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
    "DROP INDEX IF EXISTS jobs_in_line",  # of files made before that
    f"CREATE INDEX IF NOT EXISTS jobs_live ON jobs (queue, status, life, key) WHERE {LIVE}",
    f"CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (expires) WHERE {ENDED}",
    """
    CREATE TABLE IF NOT EXISTS workers (
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


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file; accept those that are there, with the indexes that they may lack.

    Raises:
        QueueUnavailable: the file is another program's, or of a newer version of this one.
    """
    application, version, tables = (
        connection.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if application != APPLICATION_ID and (application, version, tables) != (0, 0, 0):
        raise QueueUnavailable("QUEUE names another program's database: set it to a file of its own.")
    if version > SCHEMA_VERSION:
        raise QueueUnavailable("The queue was made by a newer version of this service: run that, or a new file.")
    for statement in _SCHEMA:
        connection.execute(statement)
