"""Reads blobs for clients, at most `READERS` at once, so that slow clients use up neither memory nor connections."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from proxy.derivatives.read_slots import ReadSlots
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import NotFound, StoreRefused
from proxy.stores.base import UNKNOWN_LENGTH

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from proxy.derivatives.read_slots import ReadSlot
    from proxy.stores.base import Blob, Store
    from proxy.stores.ranges import ByteRange

READERS: Final = 32
"""How many blobs are read at once; each read holds a connection to the store."""

READER_BYTES: Final = 1 << 20
"""The memory of one read, in chunks and buffers, when its client is slow: 32 took 30 MiB."""


class BlobReader:
    """A reader with the timeouts of page views; reads and renders never wait for each other."""

    def __init__(self, store: Store, *, readers: int = READERS, timeouts: PageTimeouts | None = None) -> None:
        self._store = store
        self._timeouts = timeouts or PageTimeouts()
        self._slots = ReadSlots(readers, wait_seconds=self._timeouts.lookup_seconds)

    async def look(self, key: str) -> Blob:
        """Return the blob under `key`.

        Raises:
            NotFound, StoreError: see `Store.head`.
            StoreRefused: the length of the blob is unknown.
        """
        blob = await self._timeouts.lookup(self._store.head(key))
        if blob is None:
            raise NotFound(f"No file exists under the key {key!r}.")
        if blob.bytes == UNKNOWN_LENGTH:
            raise StoreRefused("The origin announces no length, so its files cannot be streamed.")
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
            opened = stack.enter_async_context(self._store.open(key, byte_range))
            blob, chunks = await self._timeouts.lookup(opened)
            yield blob, self._counted(chunks, slot), slot.evicted

    async def _counted(self, chunks: AsyncIterator[bytes], slot: ReadSlot) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk
            slot.take(len(chunk), self._slots.now())
