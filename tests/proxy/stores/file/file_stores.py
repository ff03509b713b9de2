"""Short ways to start a file store, and to look at what it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.stores.file.store import FileStore

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.stores.base import Store


async def started(root: Path) -> FileStore:
    """Start a store, as another process or the next one would."""
    store = FileStore(root)
    await store.start()
    return store


async def type_of(store: Store, key: str) -> str:
    """Tell the content type of what is under `key`."""
    head = await store.head(key)
    assert head is not None
    return head.attributes.content_type
