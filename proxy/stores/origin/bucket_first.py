"""A bucket that is read with its credentials where they suffice, and over public HTTP where they do not."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

from proxy.errors import NotFound, StoreRefused, StoreUnavailable, UnfitKey
from proxy.stores.origin.store import NO_KEY, OriginStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from proxy.stores.base import Blob, Store
    from proxy.stores.origin.store import OriginConfig
    from proxy.stores.ranges import ByteRange
    from proxy.stores.retry import StoreRetryPolicy

T = TypeVar("T")

START_SECONDS: Final = 5.0
"""How long `start` waits for the bucket to show whether it can be read."""

ASK_AGAIN_SECONDS: Final = 600.0
"""How long what a bucket or an origin has shown is assumed to hold."""


class BucketFirstStore(OriginStore):
    """An `OriginStore` that reads the bucket itself, if the credentials may.

    A cache in front of a bucket keeps the 404 of a file that is looked up before it exists, and then serves that 404 to
    browsers. So where browsers read from the origin's host (`is_seen_by_browsers`), nothing is looked up there that may
    be missing. Elsewhere, an original that is not in the bucket is looked up at the origin; derivatives never are.
    """

    def __init__(
        self,
        address: Callable[[str], str],
        bucket: Store,
        config: OriginConfig | None = None,
        retry_policy: StoreRetryPolicy | None = None,
        *,
        is_original: Callable[[str], bool],
        is_seen_by_browsers: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(address, bucket, config, retry_policy)
        self._bucket = bucket
        self._is_original = is_original
        self._is_seen_by_browsers = is_seen_by_browsers
        self._clock = clock
        self._refused_until = 0.0
        self._never_misses: tuple[bool, float] = (False, 0.0)

    async def start(self) -> None:
        """Start both stores.

        Raises:
            StoreRefused: the credentials cannot read the bucket, and the origin must not be read instead. If the bucket
                does not respond, this shows at the first lookup.
        """
        await super().start()
        if self._is_seen_by_browsers:
            try:
                with suppress(StoreUnavailable, TimeoutError):
                    async with asyncio.timeout(START_SECONDS):
                        await self._ask_bucket(self._bucket.head(NO_KEY))
            except StoreRefused:
                await self.close()
                raise

    async def head(self, key: str) -> Blob | None:
        """Return the blob under `key`, or None; see `Store.head`."""
        if not self._can_ask_bucket():
            return await super().head(key)
        try:
            blob = await self._ask_bucket(self._bucket.head(key))
        except _Unreadable:
            return await super().head(key)
        return await super().head(key) if blob is None and await self._may_be_elsewhere(key) else blob

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Download a blob to the local file `path`; see `Store.fetch`."""
        if self._can_ask_bucket():
            try:
                return await self._ask_bucket(self._bucket.fetch(key, path, max_bytes=max_bytes))
            except NotFound:
                if not await self._may_be_elsewhere(key):
                    raise
            except _Unreadable:
                pass
        return await super().fetch(key, path, max_bytes=max_bytes)

    @asynccontextmanager
    async def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        """Yield a blob and its bytes in chunks; see `Store.open`."""
        async with AsyncExitStack() as stack:
            yield await self._opened(stack, key, byte_range)

    async def _opened(
        self, stack: AsyncExitStack, key: str, byte_range: ByteRange | None
    ) -> tuple[Blob, AsyncIterator[bytes]]:
        if self._can_ask_bucket():
            try:
                return await self._ask_bucket(stack.enter_async_context(self._bucket.open(key, byte_range)))
            except NotFound:
                if not await self._may_be_elsewhere(key):
                    raise
            except _Unreadable:
                pass
        return await stack.enter_async_context(super().open(key, byte_range))

    def _can_ask_bucket(self) -> bool:
        return self._is_seen_by_browsers or self._clock() >= self._refused_until

    async def _ask_bucket(self, asked: Awaitable[T]) -> T:
        """Return the response of the bucket.

        Raises:
            _Unreadable: the bucket refuses; the origin may be read instead.
            StoreRefused: the bucket refuses, and the origin must not be read instead.
        """
        try:
            return await asked
        except (UnfitKey, NotFound):
            raise
        except StoreRefused as fault:
            if self._is_seen_by_browsers:
                raise StoreRefused(
                    "ORIGINALS_BASE_URL: is on the host of PUBLIC_BASE_URL. A cache there would keep the 404 of a file "
                    "that is looked up before it exists, and serve it to browsers. The credentials cannot read the "
                    f"bucket instead ({str(fault).rstrip('.')}). Grant them s3:GetObject and s3:ListBucket, or set "
                    "ORIGINALS_BASE_URL to a URL of the bucket itself, without a cache."
                ) from fault
            self._refused_until = self._clock() + ASK_AGAIN_SECONDS
            raise _Unreadable from fault

    async def _may_be_elsewhere(self, key: str) -> bool:
        """Return whether a key that is not in the bucket may be looked up at the origin."""
        return self._is_original(key) and (not self._is_seen_by_browsers or await self._never_returns_404())

    async def _never_returns_404(self) -> bool:
        """Return whether the origin responds with 200 whatever it is asked, so that no lookup leaves a 404 there."""
        answer, until = self._never_misses
        if self._clock() >= until:
            answer = await super().head(NO_KEY) is not None
            self._never_misses = answer, self._clock() + ASK_AGAIN_SECONDS
        return answer


class _Unreadable(Exception):
    """The credentials cannot read the bucket; raised only within this module."""
