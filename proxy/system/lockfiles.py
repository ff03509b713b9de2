"""Lock files that show which processes are alive.

The kernel releases a lock when its process dies. A pid would be unreliable: in containers every service is pid 1, and
pids are reused.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.concurrency.file_locks import acquire

if TYPE_CHECKING:
    from pathlib import Path

OUR_NAME: Final = re.compile(r"[0-9a-f]{32}")
"""The names of process locks, which `acquire_process_lock` generates."""

_NOT_OURS: Final = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO})
"""The errors of opening another user's lock, which is for that user's processes to remove, a link or a socket."""


@dataclass(frozen=True, slots=True)
class ProcessLock:
    """A lock file from `acquire_process_lock`, held until `release` or the death of this process."""

    path: Path
    descriptor: int

    @property
    def name(self) -> str:
        """The name that other processes pass to `is_alive`."""
        return self.path.name

    def release(self) -> None:
        """Release the lock and remove its file."""
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


def acquire_process_lock(folder: Path, *, name: str = "") -> ProcessLock:
    """Return a new lock that marks this process as alive in `folder`, which is created if missing.

    Pass the `name` of a lock whose file was lost to create that file again.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = name or uuid.uuid4().hex
    unlocked = folder / f".{name}"
    descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    path = unlocked.rename(folder / name)  # renamed only once locked, so that no process finds it unlocked
    return ProcessLock(path, descriptor)


def is_alive(folder: Path, name: str) -> bool:
    """Return whether the process that holds the lock `name` in `folder` is running; False if the file is missing."""
    try:
        # No link is followed, and opening a named pipe would otherwise wait for a writer.
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError as fault:
        if fault.errno not in _NOT_OURS:
            raise
        return True
    try:
        return is_locked(descriptor)
    finally:
        os.close(descriptor)


def is_locked(descriptor: int) -> bool:
    """Return whether another open file holds an exclusive lock on the file or folder of `descriptor`."""
    if not acquire(descriptor, shared=True):
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def remove_stale(folder: Path) -> None:
    """Remove the lock files of dead processes; files and links that are not lock files stay."""
    for path in folder.iterdir():
        if OUR_NAME.fullmatch(path.name) and stat.S_ISREG(_mode(path)) and not is_alive(folder, path.name):
            path.unlink(missing_ok=True)


def _mode(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.lstat().st_mode
    return 0
