"""Folders of settings: that of the store must exist, and no other may lie in it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from proxy.system.scratch import temporary_folder


def queue_in_store(queue: str, store: str) -> str | None:
    """Return a message if the file of the queue is in the folder of the store, else None."""
    file = queue.removeprefix("sqlite:///")
    if file == queue or not (folder := _store_above(store, file)):
        return None
    return (
        f"QUEUE: {file} is in the folder of STORE, {folder}, whose files are served; "
        "set QUEUE to a file outside of it, or STORE to a folder of its own"
    )


def temporary_in_store(store: str) -> str | None:
    """Return a message if the folder for temporary files is in the folder of the store, else None."""
    temporary = temporary_folder()
    if not (folder := _store_above(store, temporary)):
        return None
    return (
        f"TMPDIR: {temporary} is in the folder of STORE, {folder}, whose files are served; "
        "set TMPDIR to a folder outside of it, or STORE to a folder of its own"
    )


def missing_store(store: str) -> str | None:
    """Return a message if the folder of a file store does not exist, else None; it begins with the folder."""
    folder = store.removeprefix("file://")
    if folder == store:
        return None
    try:
        Path(folder).stat()
    except FileNotFoundError:
        path = Path(folder).absolute()
        return f"the folder {path} does not exist; correct the name, or create it: mkdir -p {shlex.quote(str(path))}"
    except OSError:  # the start of the store explains it
        return None
    return None


def _store_above(store: str, path: str | Path) -> str | None:
    """Return the folder of the file store if `path` is that folder or in it, also through symbolic links."""
    folder = store.removeprefix("file://")
    if folder == store:
        return None
    root = Path(os.path.realpath(folder))
    # A file that is a link is in two folders: SQLite's files are beside its target, and our lock beside the link.
    places = os.path.realpath(path), os.path.join(os.path.realpath(Path(path).parent), Path(path).name)  # noqa: PTH118
    return folder if any(Path(place).is_relative_to(root) for place in places) else None
