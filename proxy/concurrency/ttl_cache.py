"""A TTL cache bounded by memory, for existing derivatives, missing originals and failures."""

from __future__ import annotations

import time
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, TypeVar

from cachetools import TLRUCache

from proxy.concurrency.backoff import jittered

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

ENTRY_BYTES = 400
"""The memory of an entry whose key has a usual length: 380 bytes for a derivative, measured over 25,000 entries."""

OWN_BYTES = 300
"""The part of `ENTRY_BYTES` that does not depend on the key: the cache's bookkeeping, and the value."""


class TtlCache(Generic[T]):
    """A bounded TTL cache with stale reads.

    An entry is fresh for `seconds`, jittered. For `stale_seconds` more it can be read with `get_stale`, for use while
    the source cannot be reached; then it is evicted. The cache holds `entries` entries of usual length, and fewer where
    keys are longer: its memory stays below `entries` times `ENTRY_BYTES`.
    """

    def __init__(
        self, *, entries: int, seconds: float, stale_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        def expires_at(_key: str, entry: tuple[T, float, int], _now: float) -> float:
            return entry[1] + stale_seconds

        self._seconds = seconds
        self._clock = clock
        self._entries: TLRUCache[str, tuple[T, float, int]] = TLRUCache(
            maxsize=entries, ttu=expires_at, timer=clock, getsizeof=itemgetter(2)
        )

    def __len__(self) -> int:
        """Count the entries that have not been evicted, fresh or stale."""
        return len(self._entries)

    def get(self, key: str) -> T | None:
        """Return the fresh value of `key`, or None."""
        try:
            entry = self._entries[key]  # not `get`, which looks up twice: this bounds how fast page views are
        except KeyError:
            return None
        return entry[0] if self._clock() < entry[1] else None

    def get_stale(self, key: str) -> T | None:
        """Return the value of `key`, fresh or stale, or None."""
        entry = self._entries.get(key)
        return entry[0] if entry else None

    def put(self, key: str, value: T) -> None:
        """Store `value` under `key`, replacing any earlier value."""
        self._entries[key] = value, self._clock() + jittered(self._seconds), _entry_weight(key)

    def mark_stale(self, key: str) -> None:
        """Mark the entry of `key` stale; `get_stale` still returns it for `stale_seconds`."""
        # Popped first: without `stale_seconds` the new entry expires at once, and the old one must not stay.
        if entry := self._entries.pop(key, None):
            self._entries[key] = entry[0], self._clock(), entry[2]

    def evict(self, key: str) -> None:
        """Evict `key`, if present."""
        self._entries.pop(key, None)


def _entry_weight(key: str) -> int:
    """Return the weight of an entry in the bound: 1 for a key of usual length, more for longer ones."""
    return -(-(OWN_BYTES + len(key.encode())) // ENTRY_BYTES)
