"""Folders that only this user can change, even below a folder that all users of the machine share."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class UnsafeFolder(OSError):
    """A folder, or another file in its place, that other users may have put there or can change."""


def open_private(path: Path, *, within: int | None = None) -> int:
    """Return a descriptor of the folder `path`, which is created with mode 0700 if missing.

    `within` is the descriptor of its parent, if that is a private folder too. A folder in a private one was created by
    this user: if its mode is too wide, as older versions created it under a wide umask, the mode is narrowed.

    Raises:
        UnsafeFolder: `path` is not a folder, is a symbolic link, is another user's, or can be changed by others.
        OSError: `path` cannot be created or opened.
    """
    name = path if within is None else path.name
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=within)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    except NotADirectoryError:
        is_link = stat.S_ISLNK(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)
        raise UnsafeFolder(f"{path} is {'a symbolic link' if is_link else 'not a folder'}") from None
    try:
        _check(descriptor, path, can_narrow=within is not None)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(descriptor: int, path: Path, *, can_narrow: bool) -> None:
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        raise UnsafeFolder(f"{path} belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}")
    if not status.st_mode & _WRITABLE_BY_OTHERS:
        return
    if not can_narrow:
        raise UnsafeFolder(f"other users can write to {path} (mode {stat.S_IMODE(status.st_mode):04o})")
    os.fchmod(descriptor, 0o700)


def remove_tree(name: str, *, within: int) -> None:
    """Remove the folder `name` in the folder of descriptor `within`, as far as possible; follow no symbolic link."""
    shutil.rmtree(name, ignore_errors=True, dir_fd=within)
