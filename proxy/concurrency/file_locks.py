"""Locks on files, against other threads and processes. The kernel releases them when their process dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RETRY_SECONDS = 0.001
"""The interval for polling a held lock; a blocking flock has no timeout."""


@contextmanager
def exclusive(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Hold the lock on the file `path` within the block; yield False if it was not acquired within `seconds`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        yield acquire(descriptor, seconds=seconds)
    finally:
        os.close(descriptor)  # releases the lock


def acquire(descriptor: int, *, shared: bool = False, seconds: float = 0.0) -> bool:
    """Lock the open file `descriptor`, and return whether that succeeded within `seconds`."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = time.monotonic() + seconds
    while not _locked(descriptor, kind):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_RETRY_SECONDS)
    return True


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
