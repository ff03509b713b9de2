"""The SQL statements for facts that a queue keeps by name; see `JobQueue.remember`. Times are epoch seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


def remember(connection: sqlite3.Connection, queue: str, name: str, value: str, *, expires: float | None) -> str:
    """Store a value until `expires` (None: for ever), unless the name has one; return the stored value."""
    connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?, ?, ?)", (queue, name, value, expires))
    return recall(connection, queue, name) or value


def recall(connection: sqlite3.Connection, queue: str, name: str) -> str | None:
    """Return the value under a name; None if there is none."""
    found: tuple[str] | None = connection.execute(
        "SELECT value FROM facts WHERE queue = ? AND name = ?", (queue, name)
    ).fetchone()
    return found[0] if found else None


def forget(connection: sqlite3.Connection, queue: str, name: str) -> bool:
    """Remove the value under a name; return False if there is none."""
    return connection.execute("DELETE FROM facts WHERE queue = ? AND name = ?", (queue, name)).rowcount == 1


def prune(connection: sqlite3.Connection, now: float) -> None:
    """Remove the values that have expired."""
    connection.execute("DELETE FROM facts WHERE expires <= ?", (now,))
