"""A store wrapper that records metrics of each call."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from proxy import metrics
from proxy.errors import StoreError, UnfitKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from proxy.stores.base import Attributes, Blob, BlobVersion, Store
    from proxy.stores.probe.gate import StoreGate
    from proxy.stores.ranges import ByteRange


class InstrumentedStore:
    """A wrapper that records the duration and the errors of each call to a store.

    `UnfitKey` is not counted as an error, because the caller caused it. While `gate` is closed, calls that read an
    original to render it, or that write, fail at once. Listings omit `probe_key`, the key of the write probe.
    """

    def __init__(self, store: Store, *, gate: StoreGate | None = None, probe_key: str = "") -> None:
        self._store = store
        self._gate = gate
        self._probe_key = probe_key

    async def start(self) -> None:
        """See `Store.start`."""
        await self._store.start()

    async def head(self, key: str) -> Blob | None:
        """See `Store.head`."""
        with self._measured("head"):
            return await self._store.head(key)

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """See `Store.fetch`."""
        self._pass_gate()
        with self._measured("fetch"):
            return await self._store.fetch(key, path, max_bytes=max_bytes)

    def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[tuple[Blob, AsyncIterator[bytes]]]:
        """See `Store.open`; the duration ends when the blob is open, before its bytes are read."""
        return self._open(key, byte_range)

    @asynccontextmanager
    async def _open(self, key: str, byte_range: ByteRange | None) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        async with AsyncExitStack() as stack:
            with self._measured("open"):
                opened = await stack.enter_async_context(self._store.open(key, byte_range))
            yield opened

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """See `Store.put`."""
        self._pass_gate()
        with self._measured("put", writes=True):
            return await self._store.put(key, path, attributes)

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        """See `Store.put_new`."""
        self._pass_gate()
        with self._measured("put_new", writes=True):
            return await self._store.put_new(key, path, attributes)

    async def copy(self, source: str, target: str) -> Blob:
        """See `Store.copy`."""
        self._pass_gate()
        with self._measured("copy", writes=True):
            return await self._store.copy(source, target)

    async def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with self._measured("delete"):
            await self._store.delete(key)

    async def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        """See `Store.list`; errors are counted, but the duration is not measured: it depends on the consumer."""
        with self._counted("list"):
            async for blob in self._store.list(prefix, after=after):
                if blob.key != self._probe_key:
                    yield blob

    async def versions(self, prefix: str) -> AsyncIterator[BlobVersion]:
        """See `Store.versions`; counted as `list`."""
        with self._counted("list"):
            async for one in self._store.versions(prefix):
                if one.key != self._probe_key:
                    yield one

    async def delete_version(self, key: str, version: str) -> None:
        """See `Store.delete_version`; measured as a deletion."""
        with self._measured("delete"):
            await self._store.delete_version(key, version)

    async def check(self) -> None:
        """See `Store.check`."""
        with self._measured("check"):
            await self._store.check()

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()

    def _pass_gate(self) -> None:
        if self._gate:
            self._gate.raise_if_closed()

    @contextmanager
    def _measured(self, operation: str, *, writes: bool = False) -> Iterator[None]:
        started = time.perf_counter()
        try:
            with self._counted(operation):
                yield
            if writes and self._gate:
                self._gate.record_write()
        finally:
            metrics.store_seconds.labels(operation).observe(time.perf_counter() - started)

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        try:
            yield
        except UnfitKey:
            raise
        except StoreError as error:
            metrics.store_errors_total.labels(operation, error.code).inc()
            if self._gate:
                self._gate.record_error(error)
            raise
