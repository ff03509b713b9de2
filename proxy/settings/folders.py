"""Folders of settings that must not lie in one another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.system.scratch import temporary_folder

if TYPE_CHECKING:
    from proxy.settings.settings import Settings


def queue_in_store(settings: Settings) -> str | None:
    """Return a message if the file of the queue is in the folder of the store, else None."""
    file = settings.queue.removeprefix("sqlite:///")
    if file == settings.queue or not (store := _store_above(settings, file)):
        return None
    return (
        f"QUEUE: {file} is in the folder of STORE, {store}, whose files are served; "
        "set QUEUE to a file outside of it, or STORE to a folder of its own"
    )


def temporary_in_store(settings: Settings) -> str | None:
    """Return a message if the folder for temporary files is in the folder of the store, else None."""
    folder = temporary_folder()
    if not (store := _store_above(settings, folder)):
        return None
    return (
        f"TMPDIR: {folder} is in the folder of STORE, {store}, whose files are served; "
        "set TMPDIR to a folder outside of it, or STORE to a folder of its own"
    )


def _store_above(settings: Settings, path: str | Path) -> str | None:
    """Return the folder of the file store if `path` is that folder or in it, also through symbolic links."""
    store = settings.store.removeprefix("file://")
    if store == settings.store:
        return None
    root = Path(os.path.realpath(store))
    # A file that is a link is in two folders: SQLite's files are beside its target, and our lock beside the link.
    places = os.path.realpath(path), os.path.join(os.path.realpath(Path(path).parent), Path(path).name)  # noqa: PTH118
    return store if any(Path(place).is_relative_to(root) for place in places) else None
