"""Reads blobs for clients, at most `READERS` at once, so that slow clients use up neither memory nor connections."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from proxy.derivatives.read_slots import ReadSlots
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import NotFound, StoreRefused
from proxy.stores.base import UNKNOWN_LENGTH
from proxy.stores.remembered import RememberedBlobs

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from proxy.derivatives.read_slots import ReadSlot
    from proxy.stores.base import Blob, Store
    from proxy.stores.ranges import ByteRange
    from proxy.stores.remembered import RememberedBlob

READERS: Final = 32
"""How many blobs are read at once; each read holds a connection to the store."""

READER_BYTES: Final = 1 << 20
"""The memory of one read, in chunks and buffers, when its client is slow: 32 took 30 MiB."""


class BlobReader:
    """A reader with the timeouts of page views; reads and renders never wait for each other.

    It remembers the blobs of which `may_remember` returns True.
    """

    def __init__(
        self,
        store: Store,
        *,
        remembered: RememberedBlobs | None = None,
        may_remember: Callable[[Blob], bool] = lambda _: True,
        readers: int = READERS,
        timeouts: PageTimeouts | None = None,
    ) -> None:
        self._store = store
        self._remembered = remembered or RememberedBlobs(room_bytes=0, seconds=0)
        self._may_remember = may_remember
        self._timeouts = timeouts or PageTimeouts()
        self._slots = ReadSlots(readers, wait_seconds=self._timeouts.lookup_seconds)

    def recall(self, key: str) -> RememberedBlob | None:
        """Return what is remembered of the blob under `key`, or None."""
        return self._remembered.get(key)

    def forget(self, key: str) -> None:
        """Forget the blob under `key`."""
        self._remembered.evict(key)

    async def look(self, key: str) -> Blob:
        """Return the blob under `key`, remembered or looked up.

        Raises:
            NotFound, StoreError: see `Store.head`.
            StoreRefused: the length of the blob is unknown.
        """
        if recalled := self.recall(key):
            return recalled.blob
        with self._remembered.reading(key) as reading:
            blob = await self._timeouts.lookup(self._store.head(key))
            if blob is None:
                self.forget(key)
                raise NotFound(f"No file exists under the key {key!r}.")
            if blob.bytes == UNKNOWN_LENGTH:
                raise StoreRefused("The origin announces no length, so its files cannot be streamed.")
            if self._may_remember(blob):
                self._remembered.put(blob, None, reading)
        return blob

    @asynccontextmanager
    async def open(
        self, key: str, byte_range: ByteRange | None = None, *, client: str = ""
    ) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes], asyncio.Event]]:
        """Yield a blob, the chunks of its bytes or of a part of them, and an event that demands the end of the read.

        What is unread when the block ends is not fetched. `client` is the address of the client: each next
        chunk counts as taken when the one after it is read.

        Raises:
            NotFound, Changed, StoreError: see `Store.open`.
            Busy: the maximum number of reads is running, and none ended within `PageTimeouts.lookup_seconds`.
        """
        async with self._slots.hold(client) as slot, AsyncExitStack() as stack:
            recalled = self.recall(key)
            if recalled and recalled.body is not None and _is_of(byte_range, recalled.blob):
                body = recalled.body[byte_range.first : byte_range.end] if byte_range else recalled.body
                yield recalled.blob, self._counted(_whole(body), slot), slot.evicted
                return
            reading = stack.enter_context(self._remembered.reading(key))
            opened = stack.enter_async_context(self._store.open(key, byte_range))
            try:
                blob, chunks = await self._timeouts.lookup(opened)
            except NotFound:
                self.forget(key)
                raise
            if byte_range is None and self._may_remember(blob):
                chunks = self._remembered.collected(blob, chunks, reading)
            yield blob, self._counted(chunks, slot), slot.evicted

    async def _counted(self, chunks: AsyncIterator[bytes], slot: ReadSlot) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk
            slot.take(len(chunk), self._slots.now())


def _is_of(byte_range: ByteRange | None, blob: Blob) -> bool:
    return byte_range is None or byte_range.etag == blob.etag


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body
