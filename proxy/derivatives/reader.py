"""Reads blobs for clients, at most `READERS` at once, so that slow clients use up neither memory nor connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import Busy, NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.stores.base import Blob, Store
    from proxy.stores.ranges import ByteRange

READERS: Final = 32
"""How many blobs are read at once; each read holds a connection to the store."""

READER_BYTES: Final = 1 << 20
"""The memory of one read, in chunks and buffers, when its client is slow: 32 took 30 MiB."""

RETRY_AFTER_SECONDS: Final = 5


class BlobReader:
    """A reader with the timeouts of page views; reads and renders never wait for each other."""

    def __init__(self, store: Store, *, readers: int = READERS, timeouts: PageTimeouts | None = None) -> None:
        self._store = store
        self._read_slots = asyncio.Semaphore(readers)
        self._timeouts = timeouts or PageTimeouts()

    async def look(self, key: str) -> Blob:
        """Return the blob under `key`.

        Raises:
            NotFound, StoreError: see `Store.head`.
        """
        blob = await self._timeouts.lookup(self._store.head(key))
        if blob is None:
            raise NotFound(f"No file exists under the key {key!r}.")
        return blob

    @asynccontextmanager
    async def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        """Yield a blob, and the chunks of its bytes or of a part of them.

        What is unread when the block ends is not fetched.

        Raises:
            NotFound, Changed, StoreError: see `Store.open`.
            Busy: the maximum number of reads is running, and none ended within `PageTimeouts.lookup_seconds`.
        """
        async with self._slot(), AsyncExitStack() as stack:
            yield await self._timeouts.lookup(stack.enter_async_context(self._store.open(key, byte_range)))

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeouts.lookup_seconds):
                await self._read_slots.acquire()
        except TimeoutError:
            raise Busy(
                f"Too many downloads are in progress; try again in {RETRY_AFTER_SECONDS} s.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from None
        try:
            yield
        finally:
            self._read_slots.release()
