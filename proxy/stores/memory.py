"""An in-memory store for tests and first trials."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from anyio import Path as AsyncPath
from anyio.lowlevel import checkpoint

from proxy.errors import NotFound
from proxy.stores.base import NO_VERSION, Attributes, Blob, BlobVersion, check_length
from proxy.stores.transfer import check_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.stores.ranges import ByteRange

CHUNK_BYTES: Final = 64 * 1024


class MemoryStore:
    """A `Store` that keeps blobs in a dict; they are lost when the process ends."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Blob, bytes]] = {}

    async def start(self) -> None:
        """Do nothing: no resources are held."""

    async def head(self, key: str) -> Blob | None:
        """Return the blob under `key`, or None; see `Store.head`."""
        await checkpoint()
        kept = self._kept.get(key)
        return kept and kept[0]

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Write a blob to the local file `path`; see `Store.fetch`."""
        blob, body = self._get(key)
        check_bytes(blob, max_bytes)
        await AsyncPath(path).write_bytes(body)
        return blob

    @asynccontextmanager
    async def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        """Yield a blob and its bytes in chunks; see `Store.open`."""
        await checkpoint()  # as real I/O would, so that a caller in a loop does not starve other tasks
        blob, body = self._get(key)
        if byte_range:
            byte_range.check(blob.etag)
            body = body[byte_range.first : byte_range.end]
        yield blob, _chunks(body)

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """Store the file `path` under `key`; see `Store.put`."""
        body = await AsyncPath(path).read_bytes()
        return self._keep(key, body, attributes)

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        """Store the file `path` unless `key` exists; see `Store.put_new`."""
        body = await AsyncPath(path).read_bytes()
        return None if key in self._kept else self._keep(key, body, attributes)

    async def copy(self, source: str, target: str) -> Blob:
        """Copy a blob from `source` to `target`; see `Store.copy`."""
        await checkpoint()
        blob, body = self._get(source)
        return self._keep(target, body, blob.attributes)

    async def delete(self, key: str) -> None:
        """Delete the blob under `key`; see `Store.delete`."""
        await checkpoint()
        self._kept.pop(key, None)

    async def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        """Yield the blobs as of the first iteration; see `Store.list`."""
        begin = after.encode()
        found = [blob for key, (blob, _) in self._kept.items() if key.startswith(prefix) and key.encode() > begin]
        for blob in sorted(found, key=lambda blob: blob.key.encode()):
            yield blob

    async def versions(self, prefix: str) -> AsyncIterator[BlobVersion]:
        """Yield the blobs under `prefix`, each as its only version; see `Store.versions`."""
        async for blob in self.list(prefix):
            yield BlobVersion(key=blob.key, version=NO_VERSION, bytes=blob.bytes)

    async def delete_version(self, key: str, version: str) -> None:
        """Delete the blob under `key`, if `version` is its only one; see `Store.delete_version`."""
        if version == NO_VERSION:
            await self.delete(key)

    async def check(self) -> None:
        """Do nothing: memory is always available."""

    async def close(self) -> None:
        """Do nothing: no resources are held."""

    def _get(self, key: str) -> tuple[Blob, bytes]:
        if key not in self._kept:
            raise NotFound(f"No file exists under the key {key!a}.")
        return self._kept[key]

    def _keep(self, key: str, body: bytes, attributes: Attributes) -> Blob:
        check_length(key)
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()  # as S3 computes it
        blob = Blob(key=key, bytes=len(body), etag=etag, modified=datetime.now(UTC), attributes=attributes)
        self._kept[key] = blob, body
        return blob


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]
