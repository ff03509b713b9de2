"""Lock files: which processes are alive, and what only one of them may hold at a time.

The kernel releases a lock when its process dies. A pid would lie: in containers every service is pid 1, and pids are
used again.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessLock:
    """A lock file that is held until `release` or the death of this process; `acquire_process_lock` makes one."""

    path: Path
    descriptor: int

    @property
    def name(self) -> str:
        """What others know this owner by."""
        return self.path.name

    def release(self) -> None:
        """Be dead to the others from now on."""
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


def acquire_process_lock(folder: Path) -> ProcessLock:
    """Begin to be alive in `folder`, which is made if missing.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    unlocked = folder / f".{name}"
    descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    path = unlocked.rename(folder / name)  # it gets its name once locked, so that nobody ever finds it unlocked
    return ProcessLock(path, descriptor)


def is_alive(folder: Path, name: str) -> bool:
    """Tell whether the process that claimed `name` in `folder` still runs; one whose file is gone does not."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # another user's: leave it to that user's processes
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def remove_stale(folder: Path) -> None:
    """Remove the lock files of the dead."""
    for path in folder.glob("[!.]*"):
        if not is_alive(folder, path.name):
            path.unlink(missing_ok=True)


_RETRY_SECONDS = 0.001
"""How soon a held lock is tried again: flock itself would wait for ever."""


@contextmanager
def exclusive(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
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
