"""What was learned a moment ago: where derivatives are, which originals cannot be rendered."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from cachetools import TLRUCache

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

JITTER = 0.2
"""Share of a lifetime that is drawn at random, so that what was learned together is not forgotten together."""


class Remembered(Generic[T]):
    """A bounded memory; each entry is forgotten about `seconds` after it was put in, give or take the jitter."""

    def __init__(self, *, entries: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        def forget_at(_key: str, _value: T, now: float) -> float:
            return now + seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing

        self._entries: TLRUCache[str, T] = TLRUCache(maxsize=entries, ttu=forget_at, timer=clock)

    def __len__(self) -> int:
        """Count the entries that are not forgotten yet."""
        return len(self._entries)

    def get(self, key: str) -> T | None:
        """Give what is remembered of `key`; None when nothing is."""
        return self._entries.get(key)

    def put(self, key: str, value: T) -> None:
        """Remember `value` for `key`, in place of what was remembered before."""
        self._entries[key] = value

    def forget(self, key: str) -> None:
        """Forget `key`; nothing remembered is no error."""
        self._entries.pop(key, None)
