"""The SQL statements of the notes that a queue has; see `JobQueue.put_note`. Times are epoch seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


def add(
    connection: sqlite3.Connection, queue: str, name: str, value: str, *, now: float, expires: float | None
) -> bool:
    """Store a note until `expires` (None: until it is removed); return False if one exists."""
    connection.execute("DELETE FROM notes WHERE queue = ? AND name = ? AND expires <= ?", (queue, name, now))
    added = connection.execute("INSERT OR IGNORE INTO notes VALUES (?, ?, ?, ?)", (queue, name, value, expires))
    return added.rowcount == 1


def get(connection: sqlite3.Connection, queue: str, name: str, *, now: float) -> str | None:
    """Return the value of a note; None if it does not exist or has expired."""
    found: tuple[str] | None = connection.execute(
        "SELECT value FROM notes WHERE queue = ? AND name = ? AND (expires IS NULL OR expires > ?)", (queue, name, now)
    ).fetchone()
    return found[0] if found else None


def remove(connection: sqlite3.Connection, queue: str, name: str) -> bool:
    """Remove a note; return False if it does not exist."""
    return connection.execute("DELETE FROM notes WHERE queue = ? AND name = ?", (queue, name)).rowcount == 1


def prune(connection: sqlite3.Connection, now: float) -> None:
    """Remove the notes that have expired."""
    connection.execute("DELETE FROM notes WHERE expires <= ?", (now,))
