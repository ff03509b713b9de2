"""Atomic and durable file operations on a local disk."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.concurrency.file_locks import acquire
from proxy.errors import StoreRefused, StoreUnavailable
from proxy.stores.base import AlreadyThere

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

CHUNK_BYTES: Final = 256 * 1024

LOCK_SECONDS: Final = 10.0
"""How long a writer waits for another, which holds a lock for milliseconds. A process that is stopped within a write
holds its lock until it continues or is killed; without a limit, its waiters would occupy all threads."""

_BOTH: Final = "a file and a folder would have the same path"
_DENIED: Final = "permission denied; grant the user of this service access to its folder"
_REFUSALS: Final = {
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENAMETOOLONG: "the path is too long",
    errno.ENOTDIR: _BOTH,
    errno.EISDIR: _BOTH,
    errno.ELOOP: "the path contains a symbolic link",
}

_SPECIAL: Final = frozenset({errno.ENXIO, errno.ENODEV})
"""The errors of opening a socket, or a device that does not exist."""


@contextmanager
def disk_errors() -> Iterator[None]:
    """Translate an `OSError` within the block to `StoreRefused` or `StoreUnavailable`, without local paths."""
    try:
        yield
    except OSError as error:
        if refusal := _REFUSALS.get(error.errno or 0):
            raise StoreRefused(f"The file store rejected the operation: {refusal}.") from error
        raise StoreUnavailable(f"The file store failed: {error.strerror or 'unknown error'}.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identity of a file's content: two files with the same identity have the same bytes."""

    bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Identity:
        """Return the identity of the file that a stat result describes."""
        return cls(bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, inode=stat.st_ino)


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold the lock on the file `path` within the block, against other threads and processes.

    The kernel releases the lock when the process dies.

    Raises:
        TimeoutError: another process holds the lock, and did so for `LOCK_SECONDS` unless `wait` is False.
    """
    seconds = LOCK_SECONDS if wait else 0.0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if not acquire(file.fileno(), shared=shared, seconds=seconds):
            raise TimeoutError(errno.ETIMEDOUT, f"another process has held a lock for {seconds:g} s; is it stopped?")
        yield


@contextmanager
def written(folder: Path, source: BinaryIO) -> Iterator[tuple[Path, Identity]]:
    """Yield a temporary copy of `source` in `folder`, flushed to disk, and its identity.

    The copy is removed at the end of the block unless it was renamed before.
    """
    path = folder / secrets.token_hex(16)
    try:
        with path.open("xb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
            file.flush()
            # The kernel's clock for files ticks only every few milliseconds: two puts could get the same identity.
            now = time.time_ns()
            os.utime(file.fileno(), ns=(now, now))
            os.fsync(file.fileno())
            identity = Identity.of(os.fstat(file.fileno()))
        yield path, identity
    finally:
        path.unlink(missing_ok=True)


def move_into_place(temporary: Path, target: Path, *, only_new: bool = False) -> None:
    """Move the file `temporary` to `target`, atomically and durably.

    Raises:
        AlreadyThere: `only_new` is set and `target` exists.
    """
    while True:
        try:
            make_folder(target.parent)
            if only_new:
                os.link(temporary, target)
            else:
                temporary.replace(target)
        except FileExistsError as error:
            raise AlreadyThere from error
        except FileNotFoundError:
            # A concurrent delete has removed the empty folder: retry. If `temporary` itself is missing, this raises.
            temporary.lstat()
        else:
            with suppress(FileNotFoundError):  # a concurrent delete has already removed the file and its folder
                flush_folder(target.parent)
            return


def make_folder(folder: Path, *, attempts: int = 10) -> None:
    """Create `folder` and its missing parents, each flushed to disk.

    Concurrent deletes may remove parents in between; each such removal takes one of the `attempts`.

    Raises:
        FileNotFoundError: no attempt succeeded. Some file systems, such as /proc, always raise it.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        if attempts == 1:
            raise
        make_folder(folder.parent)
        make_folder(folder, attempts=attempts - 1)
    else:
        flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Flush the directory entries of `folder` to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prune(folder: Path, root: Path) -> None:
    """Remove `folder` and its parents below `root`, up to the first that is not empty."""
    with suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def open_plain(path: Path) -> BinaryIO | None:
    """Open `path` for reading; return None if it is not a plain file or does not exist.

    Raises:
        OSError: `path` is a symbolic link (`ELOOP`), or cannot be opened.
    """
    if (kind := file_kind(path)) is None or not (stat.S_ISREG(kind) or stat.S_ISLNK(kind)):
        return None  # before it is opened: opening a device can have effects
    try:
        # It may be replaced in between. Non-blocking, because opening a named pipe would otherwise wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as fault:
        if fault.errno in _SPECIAL:
            return None
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


def file_kind(path: Path) -> int | None:
    """Return the mode of what is at `path`, without following a link; None if nothing is."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_unchanged(path: Path, identity: Identity) -> bool:
    """Return whether the file at `path` still has this identity."""
    try:
        return Identity.of(path.lstat()) == identity
    except OSError:
        return False


def chunks(file: BinaryIO, first: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of `file` in chunks, from `first` up to, but not including, `end`.

    Raises:
        StoreUnavailable: the file changed during the read, so the chunks may be of two versions.
    """
    identity = Identity.of(os.fstat(file.fileno()))
    left = (identity.bytes if end is None else end) - first
    with disk_errors():
        file.seek(first)
        while left and (chunk := file.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
        if left or Identity.of(os.fstat(file.fileno())) != identity:
            raise StoreUnavailable("The file changed while it was read; retry once it is complete.")
