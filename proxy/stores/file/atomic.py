"""Files that appear on a local disk whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.errors import StoreRefused, StoreUnavailable
from proxy.stores.base import AlreadyThere

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

CHUNK_BYTES: Final = 256 * 1024

_BOTH: Final = "a key would have to be a file and a folder at once"
_REFUSALS: Final = {
    errno.EACCES: "it may not (permissions)",
    errno.EPERM: "it may not (permissions)",
    errno.ENAMETOOLONG: "the path would be too long",
    errno.ENOTDIR: _BOTH,
    errno.EISDIR: _BOTH,
    errno.ELOOP: "a symbolic link is on its way",
}


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the operating system says into `StoreRefused` or `StoreUnavailable`; no local path is told."""
    try:
        yield
    except OSError as error:
        if refusal := _REFUSALS.get(error.errno or 0):
            raise StoreRefused(f"The file store will not do it: {refusal}.") from error
        raise StoreUnavailable(f"The file store cannot do it now: {error.strerror or 'it failed'}.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which file it is: two files with the same identity have the same bytes."""

    bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Identity:
        """Take the identity from what the file system knows of a file."""
        return cls(bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, inode=stat.st_ino)


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold the lock that the file `path` stands for, against other threads and processes; it dies with its holder.

    Raises:
        BlockingIOError: `wait` is False, and somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield


@contextmanager
def written(folder: Path, source: BinaryIO) -> Iterator[tuple[Path, Identity]]:
    """Copy `source` to a new file in `folder` that is safe on the disk; it is gone at the end unless renamed before."""
    path = folder / secrets.token_hex(16)
    try:
        with path.open("xb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
            file.flush()
            # The kernel's own clock for files ticks every few milliseconds: two puts could look alike.
            now = time.time_ns()
            os.utime(file.fileno(), ns=(now, now))
            os.fsync(file.fileno())
            identity = Identity.of(os.fstat(file.fileno()))
        yield path, identity
    finally:
        path.unlink(missing_ok=True)


def move_into_place(temporary: Path, target: Path, *, only_new: bool = False) -> None:
    """Move a file to where it is seen, for good.

    Raises:
        AlreadyThere: with `only_new`, when something has that name.
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
            # A delete has just taken an empty folder away: make it again, unless it is the file that is gone.
            temporary.lstat()
        else:
            with suppress(FileNotFoundError):  # a delete was quick to take the file away, its folder with it
                flush_folder(target.parent)
            return


def make_folder(folder: Path) -> None:
    """Make `folder` with all above it, each safe on the disk."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(folder.parent)
        make_folder(folder)
    else:
        flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Return when the names in `folder` are safe on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prune(folder: Path, root: Path) -> None:
    """Remove `folder` and those above it, below `root`, as far as they are empty."""
    with suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def open_plain(path: Path) -> BinaryIO | None:
    """Open `path` for reading; None when no plain file is there."""
    try:
        # Not blocking: a named pipe would keep us waiting for somebody to write.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


def is_unchanged(path: Path, identity: Identity) -> bool:
    """Tell whether it is still this file that lies there."""
    try:
        return Identity.of(path.lstat()) == identity
    except OSError:
        return False


def chunks(file: BinaryIO, first: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Read `file` as it is now, piece by piece; or only its bytes from `first` up to `end`.

    Raises:
        StoreUnavailable: somebody wrote to it meanwhile, so that the pieces may be of two different files.
    """
    identity = Identity.of(os.fstat(file.fileno()))
    left = (identity.bytes if end is None else end) - first
    with disk_errors():
        file.seek(first)
        while left and (chunk := file.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
        if left or Identity.of(os.fstat(file.fileno())) != identity:
            raise StoreUnavailable("The file was written to while it was read; try again when it is whole.")
