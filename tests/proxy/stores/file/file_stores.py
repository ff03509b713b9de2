"""Helpers that start a file store and read content types from a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.stores.file.store import FileStore

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.stores.base import Store


async def started(root: Path) -> FileStore:
    """Return a started store on `root`, as another process or a restarted one would open it."""
    store = FileStore(root)
    await store.start()
    return store


async def type_of(store: Store, key: str) -> str:
    """Return the content type of the blob under `key`."""
    head = await store.head(key)
    assert head is not None
    return head.attributes.content_type
