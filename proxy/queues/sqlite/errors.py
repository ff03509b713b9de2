"""Messages for SQLite errors, with the remedy for the operator."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from proxy.errors import QueueUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_CANNOT_OPEN = (
    "The queue {path} cannot be opened for writing ({error}): grant the user of this service write access to the file "
    "and its folder, or set QUEUE to another file."
)
_SENTENCES = {
    sqlite3.SQLITE_FULL: "The disk of the queue {path} is full: free some space; accepted jobs are safe.",
    sqlite3.SQLITE_NOTADB: "{path} is not a queue: move that file elsewhere, or set QUEUE to another one.",
    sqlite3.SQLITE_CORRUPT: "The queue {path} is damaged ({error}): move it, its -wal and its -shm file elsewhere, "
    "and restart the service, which creates a new one.",
    sqlite3.SQLITE_BUSY: "The queue {path} is locked by another program: stop it (a shell or a backup, for "
    "example), or let it continue if it was stopped.",
    sqlite3.SQLITE_IOERR: "The queue {path} cannot be read or written ({error}): check the disk and its free space.",
    sqlite3.SQLITE_CANTOPEN: _CANNOT_OPEN,
    sqlite3.SQLITE_READONLY: _CANNOT_OPEN,
    sqlite3.SQLITE_PERM: _CANNOT_OPEN,
}


def translate(path: Path, error: sqlite3.Error | OSError) -> QueueUnavailable:
    """Return a `QueueUnavailable` for an error of the file at `path`; its message contains the remedy."""
    sentence = _SENTENCES.get(_code(error), "The queue {path} failed: {error}.")
    return QueueUnavailable(sentence.format(path=path, error=getattr(error, "strerror", error)))


def is_busy(error: Exception) -> bool:
    """Return whether the error means that others kept the file locked until the timeout."""
    return _code(error) == sqlite3.SQLITE_BUSY


def _code(error: Exception) -> int:
    if isinstance(error, OSError):
        return sqlite3.SQLITE_BUSY if isinstance(error, TimeoutError) else sqlite3.SQLITE_CANTOPEN
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF  # the primary result code; the upper bits only refine it
