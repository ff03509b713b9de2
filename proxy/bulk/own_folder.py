"""The folder of a command, which replaces and removes files in it: an empty one, or one that a command created."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from proxy.bulk.options import BadOption
from proxy.stores.file.atomic import flush_folder, make_folder

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator
    from pathlib import Path

MARKER: Final = ".gf-images"
"""The file that marks a folder as created by a command."""

_VERSION: Final = 1

_NOT_COUNTED: Final = frozenset({MARKER, f"{MARKER}.new", "lost+found"})
"""Names that an empty folder may contain: our marker, half written or damaged, and what a new file system has."""

_SHOWN: Final = 3


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a marker."""

    kind: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderKind:
    """A kind of folder: what is in it, and the option that names it.

    Older versions left no marker. Their folders have no other entries than those that `known` matches, as paths in the
    folder with a `/` behind the names of folders. `is_older` returns whether a folder with only such entries is theirs.
    """

    name: str
    option: str
    known: re.Pattern[str]
    is_older: Callable[[Path], bool]


def claim(folder: Path, kind: FolderKind) -> None:
    """Create the folder if it is missing, and mark it as one of this kind.

    Raises:
        BadOption: it has files that no command of this kind created, or it is not writable.
    """
    try:
        make_folder(folder)
        if (mark := _read(folder / MARKER)) is None:
            _check_unmarked(folder, kind)
            _write(folder, _Mark(kind=kind.name, version=_VERSION))
            return
    except OSError as fault:
        raise BadOption(
            f"{kind.option}: cannot write to {folder} ({fault.strerror}). Use a writable folder."
        ) from fault
    if mark.kind != kind.name:
        raise BadOption(
            f"{kind.option}: {folder} is the folder of a {mark.kind}, not of a {kind.name}; name another folder."
        )
    if mark.version > _VERSION:
        raise BadOption(
            f"{kind.option}: {folder} was created by a newer version of gf-images; use that version, or name another "
            "folder."
        )


def _check_unmarked(folder: Path, kind: FolderKind) -> None:
    entries = [*_entries(folder, kind)]
    foreign = [entry for entry in entries if not kind.known.fullmatch(entry)]
    if entries and not foreign and not kind.is_older(folder):
        foreign = entries
    if foreign:
        raise BadOption(
            f"{kind.option}: {folder} has files that no {kind.name} created: {_listed(foreign)}. The files in the "
            f"folder of a {kind.name} are replaced and removed, so name a new or an empty folder, or move these files."
        )


def _entries(folder: Path, kind: FolderKind, above: str = "") -> Iterator[str]:
    """Yield the entries of the folder and of the folders in it that are known; in each, the foreign ones first."""
    with os.scandir(folder) as scanned:
        names = sorted(_name(entry, above) for entry in scanned if above or entry.name not in _NOT_COUNTED)
    names.sort(key=lambda name: bool(kind.known.fullmatch(name)))
    for name in names:
        yield name
        if name.endswith("/") and kind.known.fullmatch(name):
            yield from _entries(folder / name.removeprefix(above), kind, name)


def _name(entry: os.DirEntry[str], above: str) -> str:
    if entry.is_dir(follow_symlinks=False):
        return f"{above}{entry.name}/"
    return f"{above}{entry.name}" + ("" if entry.is_file(follow_symlinks=False) else " (not a file)")


def _listed(names: list[str]) -> str:
    shown = ", ".join(ascii(name)[1:-1] for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _read(path: Path) -> _Mark | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Mark)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write(folder: Path, mark: _Mark) -> None:
    new = folder / f"{MARKER}.new"
    new.unlink(missing_ok=True)
    with new.open("xb") as file:
        file.write(msgspec.json.encode(mark))
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / MARKER)
    flush_folder(folder)
