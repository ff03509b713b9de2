"""What was learned a moment ago: where derivatives are, which originals cannot be rendered."""

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
"""What an entry takes whose key is as short as most are: 380 bytes of a derivative, measured over 25,000."""

OWN_BYTES = 300
"""What it takes of that beside its key: the cache's own places for it, and its value."""


class TtlCache(Generic[T]):
    """A bounded memory; each entry is fresh for about `seconds` after it was put in, give or take the jitter.

    For `stale_seconds` more it is kept for those who cannot find out anew, then forgotten. It holds `entries` of usual
    length, or fewer where keys are longer: what it takes stays below `entries` times `ENTRY_BYTES`.
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
        """Count the entries that are not forgotten yet."""
        return len(self._entries)

    def get(self, key: str) -> T | None:
        """Give what is remembered of `key`; None when nothing is, or nothing fresh."""
        try:
            entry = self._entries[key]  # not `get`, which looks twice: page views are as fast as this is
        except KeyError:
            return None
        return entry[0] if self._clock() < entry[1] else None

    def get_stale(self, key: str) -> T | None:
        """Give what is remembered of `key`, however long ago it was true; None when nothing is."""
        entry = self._entries.get(key)
        return entry[0] if entry else None

    def put(self, key: str, value: T) -> None:
        """Remember `value` for `key`, in place of what was remembered before."""
        self._entries[key] = value, self._clock() + jittered(self._seconds), _max_admitted(key)

    def mark_stale(self, key: str) -> None:
        """Have `key` be found out anew; those who cannot still get what is remembered, for `stale_seconds`."""
        # Taken out first: what would be forgotten at once is not put in another's place.
        if entry := self._entries.pop(key, None):
            self._entries[key] = entry[0], self._clock(), entry[2]

    def evict(self, key: str) -> None:
        """Forget `key`; nothing remembered is no error."""
        self._entries.pop(key, None)


def _max_admitted(key: str) -> int:
    """Tell of how many usual entries this one takes the place."""
    return -(-(OWN_BYTES + len(key.encode())) // ENTRY_BYTES)
