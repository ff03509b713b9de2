"""The mapping between keys and the paths of plain files below a root folder."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from proxy.errors import StoreRefused, UnfitKey
from proxy.keys.syntax import MAX_KEY_BYTES
from proxy.stores.base import check_length

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_SEGMENT_BYTES: Final = 255
"""The longest file name on Linux's file systems (NAME_MAX)."""

_OF_THE_PROCESS: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN, errno.ESTALE}
"""Errors of reading a folder for which that folder is not the cause."""


def locate(root: Path, key: str) -> Path:
    """Return the path of the file for `key`; `root` must already be resolved.

    Raises:
        UnfitKey: no file can have this key as its path below `root`.
        StoreRefused: the path contains a symbolic link, which may lead outside `root`.
    """
    segments = key.split("/")
    if fault := next(filter(None, map(_fault, segments)), None):
        raise UnfitKey(f"The key cannot be stored: {fault}; choose another one.")
    check_length(key)
    path = root.joinpath(*segments)
    if os.path.realpath(path) != str(path):
        raise StoreRefused(
            "The file store cannot use this key: its path contains a symbolic link, which may lead outside the folder."
        )
    return path


def walk(
    root: Path, prefix: str, *, after: str = "", unreadable: list[str]
) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yield the keys that begin with `prefix` and follow `after`, in the order of their UTF-8 bytes.

    The status is None if it cannot be read: one bad entry does not end the walk. Nor does a folder that cannot be read;
    its key, with a slash at its end, is appended to `unreadable`. Only the names in the folders on the
    path to the current key are held in memory, never those of the whole tree.
    """
    above, slash, start = prefix.rpartition("/")
    try:
        folder = locate(root, above) if slash else root
    except StoreRefused:
        return
    begin = after.encode()
    for key, path in _walk(folder, above + slash, os.fsencode(start), after=begin, unreadable=unreadable):
        if key.encode() > begin:
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            except OSError:
                yield key, None
            else:
                if stat.S_ISREG(status.st_mode):
                    yield key, status


def _walk(folder: Path, above: str, start: bytes, *, after: bytes, unreadable: list[str]) -> Iterator[tuple[str, Path]]:
    """Yield the key and path of each entry that can be a key; skip folders whose keys all precede `after`."""
    try:
        names = _names(folder, start)
    except OSError as error:
        if not above or error.errno in _OF_THE_PROCESS:
            raise
        unreadable.append(above)
        return
    for name in names[_first_after(names, os.fsencode(above), after) :]:
        segment = os.fsdecode(name.removesuffix(b"/"))
        key = above + segment
        if _fault(segment) or len(key.encode()) > MAX_KEY_BYTES:
            continue
        path = folder / segment
        if not name.endswith(b"/"):
            yield key, path
        elif not _is_before(f"{key}/".encode(), after):
            yield from _walk(path, f"{key}/", b"", after=after, unreadable=unreadable)


def _first_after(names: list[bytes], above: bytes, after: bytes) -> int:
    """Return the index of the first name in the folder `above` that can have a key after `after`.

    Of 20,000 names, those before it cost 30 ms if each is decoded and checked.
    """
    rest = after.removeprefix(above)
    if not after.startswith(above):
        return 0  # all names follow `after`, or all precede it
    index = bisect_left(names, rest)
    return index - 1 if index and names[index - 1].endswith(b"/") and rest.startswith(names[index - 1]) else index


def _is_before(folder: bytes, after: bytes) -> bool:
    return folder < after and not after.startswith(folder)


def _names(folder: Path, start: bytes) -> list[bytes]:
    # Folder names get a '/', so that names sort as whole keys do: 'a-b' before 'a/b'.
    try:
        with os.scandir(os.fsencode(folder)) as entries:
            names = [entry.name + b"/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if name.startswith(start)) if start else sorted(names)


def _fault(segment: str) -> str | None:
    if segment in {"", ".", ".."}:
        return "a segment is empty, '.' or '..'"
    if segment.startswith("."):
        return "a segment begins with '.', as the names of files that are not meant to be shown do"
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in segment):
        return "it contains a control character or an unpaired surrogate"
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        return f"a segment is longer than {MAX_SEGMENT_BYTES} bytes"
    return None
