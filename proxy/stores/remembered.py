"""Blobs that were read recently, and the bytes of the small ones, for requests that need no call of the store."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cachetools import TLRUCache

from proxy.concurrency.backoff import jittered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from proxy.stores.base import Blob

LARGEST_PART: Final = 32
"""Bytes are remembered of blobs that take up at most one part in so many of the room."""

OWN_BYTES: Final = 2560
"""The memory of an entry beside its bytes: key, attributes and two heads; 2.3 KiB, measured over 10,000 entries."""


@dataclass(eq=False, slots=True, kw_only=True)
class RememberedBlob:
    """A blob, and its bytes if they were read and are few."""

    blob: Blob
    body: bytes | None = None
    heads: dict[tuple[str, int], bytes] = field(default_factory=dict)
    """Heads of responses by route and status, which the HTTP layer builds once and keeps here."""


@dataclass(eq=False, slots=True)
class Reading:
    """A read or lookup in progress, which an eviction of its key outdates."""

    is_outdated: bool = False


class RememberedBlobs:
    """A cache of blobs by key, bounded to `room_bytes` of memory; each is fresh for `seconds`, jittered.

    With 0 bytes, nothing is remembered. What was read before an eviction of its key is not remembered after it.
    """

    def __init__(self, *, room_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        def expires_at(_key: str, _entry: RememberedBlob, now: float) -> float:
            return now + jittered(seconds)

        self._largest_bytes = room_bytes // LARGEST_PART
        self._entries: TLRUCache[str, RememberedBlob] = TLRUCache(
            maxsize=room_bytes, ttu=expires_at, timer=clock, getsizeof=_size
        )
        self._readings: dict[str, set[Reading]] = {}

    def get(self, key: str) -> RememberedBlob | None:
        """Return what is remembered of a key, or None."""
        try:
            return self._entries[key]
        except KeyError:
            return None

    def evict(self, key: str) -> None:
        """Evict `key`, if present."""
        self._entries.pop(key, None)
        for reading in self._readings.get(key, ()):
            reading.is_outdated = True

    @contextmanager
    def reading(self, key: str) -> Iterator[Reading]:
        """Yield the reading to pass to `put`, for the length of a read or a lookup."""
        reading = Reading()
        readings = self._readings.setdefault(key, set())
        readings.add(reading)
        try:
            yield reading
        finally:
            readings.discard(reading)
            if not readings:
                self._readings.pop(key, None)

    def put(self, blob: Blob, body: bytes | None, reading: Reading) -> None:
        """Remember a blob, unless its key was evicted since the reading began."""
        if reading.is_outdated or not self._largest_bytes:
            return
        before = self.get(blob.key)
        if before and body is None and before.blob == blob:
            return  # a lookup does not replace the bytes
        entry = RememberedBlob(blob=blob, body=body)
        if _size(entry) <= self._entries.maxsize:
            self._entries[blob.key] = entry

    async def collected(self, blob: Blob, chunks: AsyncIterator[bytes], reading: Reading) -> AsyncIterator[bytes]:
        """Yield all chunks of a blob; remember it at the end, with its bytes if they are few."""
        if blob.bytes > self._largest_bytes:
            self.put(blob, None, reading)
            async for chunk in chunks:
                yield chunk
            return
        body = b""
        async for chunk in chunks:
            body = body + chunk if body else chunk
            yield chunk
        if len(body) == blob.bytes:
            self.put(blob, body, reading)


def _size(entry: RememberedBlob) -> int:
    return OWN_BYTES + len(entry.body or b"")
