"""The table of facts: values that a queue stores under a name, beside its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


def remember(connection: sqlite3.Connection, queue: str, name: str, value: str, *, expires: float | None) -> str:
    """Store a value under a name, unless one is stored there, and return the stored one."""
    connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?, ?, ?)", (queue, name, value, expires))
    return recall(connection, queue, name) or value


def overwrite(connection: sqlite3.Connection, queue: str, name: str, value: str, *, expires: float) -> None:
    """Store a value under a name, whatever is stored there."""
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", (queue, name, value, expires))


def recall(connection: sqlite3.Connection, queue: str, name: str) -> str | None:
    """Return the value under a name; None if there is none."""
    found = connection.execute("SELECT value FROM facts WHERE queue = ? AND name = ?", (queue, name)).fetchone()
    return None if found is None else str(found[0])


def forget(connection: sqlite3.Connection, queue: str, name: str, *, value: str | None) -> bool:
    """Remove the value under a name, or only `value` if that is not None; return False if nothing was removed."""
    question = "DELETE FROM facts WHERE queue = ? AND name = ? AND value = coalesce(?, value)"
    return connection.execute(question, (queue, name, value)).rowcount == 1
