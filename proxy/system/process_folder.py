"""The folder of this process, below a folder that all services of one user share."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from proxy.system import lockfiles
from proxy.system.private_folders import open_private, remove_tree

if TYPE_CHECKING:
    from pathlib import Path

_WORK: Final = "work"
_OWNERS: Final = "owners"


class ProcessFolder:
    """A folder `<place>/work/<name>` with a lock file `<place>/owners/<name>`, both only for this process.

    The folder itself is locked too, and so is `place`, for shared use. A cleaner of temporary files that respects locks
    (systemd-tmpfiles does) then skips them. If another one removes the lock file, other processes still find the folder
    locked.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._held = ExitStack()
        self._lock: lockfiles.ProcessLock | None = None
        self._parts: dict[Path, int] = {}

    @property
    def path(self) -> Path:
        """The path of the folder, which stays the same if the folder is created again."""
        return self._place / _WORK / (self._lock.name if self._lock else "")

    def create(self) -> None:
        """Create the folder, or create again what was lost of it.

        Raises:
            OSError: `place` is not writable, or it is an `UnsafeFolder`.
        """
        with ExitStack() as stack:
            place = _opened(stack, self._place)
            work = _opened(stack, self._place / _WORK, within=place)
            _opened(stack, self._place / _OWNERS, within=place)
            lock = lockfiles.acquire_process_lock(self._place / _OWNERS, name=self._lock.name if self._lock else "")
            stack.callback(os.close, lock.descriptor)
            folder = _opened(stack, self._place / _WORK / lock.name, within=work)
            self._held.close()  # before the locks: what was not lost is still locked through its old descriptor
            self._held, self._lock = stack.pop_all(), lock
            self._parts = {self._place: place, lock.path: lock.descriptor, self.path: folder}
            for descriptor, kind in ((place, fcntl.LOCK_SH), (folder, fcntl.LOCK_EX)):
                with suppress(OSError):  # a cleaner is at work, or the file system locks no folders
                    fcntl.flock(descriptor, kind | fcntl.LOCK_NB)

    def is_lost(self) -> bool:
        """Return whether the folder, its lock file or `place` was removed or replaced."""
        return not all(_is_same(path, descriptor) for path, descriptor in self._parts.items())

    def remove_dead(self) -> None:
        """Remove the folders and lock files of dead processes."""
        owners = self._place / _OWNERS
        with ExitStack() as stack:
            work = _opened(stack, self._place / _WORK, within=self._parts[self._place])
            with os.scandir(work) as entries:
                names = [entry.name for entry in entries if lockfiles.OUR_NAME.fullmatch(entry.name)]
            for name in names:
                if not lockfiles.is_alive(owners, name) and not _is_locked(name, within=work):
                    remove_tree(name, within=work)
        lockfiles.remove_stale(owners)

    def remove(self) -> None:
        """Remove the folder with its content, and its lock file."""
        with self._held, suppress(OSError):
            if self._lock and _is_same(self._place, self._parts[self._place]):
                work = _opened(self._held, self._place / _WORK, within=self._parts[self._place])
                remove_tree(self._lock.name, within=work)
                self._lock.path.unlink(missing_ok=True)


def _opened(stack: ExitStack, path: Path, *, within: int | None = None) -> int:
    descriptor = open_private(path, within=within)
    stack.callback(os.close, descriptor)
    return descriptor


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError as fault:
        if fault.errno in {errno.ENOENT, errno.ENOTDIR}:
            return False
        raise


def _is_locked(name: str, *, within: int) -> bool:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    except OSError:
        return True  # not a folder of ours
    try:
        return lockfiles.is_locked(descriptor)
    finally:
        os.close(descriptor)
