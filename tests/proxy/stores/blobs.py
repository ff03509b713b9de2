"""Short ways to put, get and list, for tests of stores."""

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
    """Put `body` by way of the local file `path`."""
    await anyio.Path(path).write_bytes(body)
    return await store.put(key, path, attributes)


async def get(store: Store, key: str) -> bytes:
    """Read the whole of what is under `key`."""
    async with store.open(key) as (_, chunks):
        return b"".join([chunk async for chunk in chunks])


async def keys(store: Store, prefix: str = "", *, after: str = "") -> list[str]:
    """List the keys under `prefix`, those behind `after`."""
    return [blob.key async for blob in store.list(prefix, after=after)]
