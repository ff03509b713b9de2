"""Helpers that put, get and list blobs in tests of stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from proxy.stores.base import Attributes, Blob, Store

if TYPE_CHECKING:
    from pathlib import Path

ATTRIBUTES = Attributes(
    content_type="image/jpeg",
    cache_control="public, max-age=86400",
    metadata={"render-profile": "a1b2c3", "width": "800"},
)


async def put(store: Store, key: str, body: bytes, path: Path, attributes: Attributes = ATTRIBUTES) -> Blob:
    """Store `body` under `key`, through the local file `path`."""
    await anyio.Path(path).write_bytes(body)
    return await store.put(key, path, attributes)


async def get(store: Store, key: str) -> bytes:
    """Return all bytes of the blob under `key`."""
    async with store.open(key) as (_, chunks):
        return b"".join([chunk async for chunk in chunks])


async def keys(store: Store, prefix: str = "", *, after: str = "") -> list[str]:
    """Return the keys that begin with `prefix` and follow `after`."""
    return [blob.key async for blob in store.list(prefix, after=after)]
