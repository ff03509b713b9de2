"""What only one at a time may hold, among all processes of the machine."""

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
"""How soon a held lock is tried again: flock itself would wait for ever."""


@contextmanager
def turn(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Hold the lock file at `path` within the block; yields False when others kept it for `seconds`."""
    deadline = time.monotonic() + seconds
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        ours = _lock(descriptor)
        while not ours and time.monotonic() < deadline:
            time.sleep(_RETRY_SECONDS)
            ours = _lock(descriptor)
        yield ours
    finally:
        os.close(descriptor)  # which is what lets go of it


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
