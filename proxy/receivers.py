"""How many callbacks may be on their way to one receiver at once: one, when it gave no answer the last time."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from proxy.errors import CallbackFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENT_ENTRIES: Final = 1000
"""Receivers remembered to be silent; one that is forgotten is only called by some more at once, until it is silent."""


class Receivers:
    """Keeps those who are slow, or silent, from taking all the slots that callbacks have."""

    def __init__(self, *, at_once: int) -> None:
        self._at_once = at_once
        self._called: Counter[str] = Counter()
        self._silent: LRUCache[str, bool] = LRUCache(maxsize=SILENT_ENTRIES)

    @contextmanager
    def called(self, name: str) -> Iterator[bool]:
        """Call a receiver within the block; yields False when it must not be called now."""
        if self._called[name] >= (1 if name in self._silent else self._at_once):
            yield False
            return
        self._called[name] += 1
        try:
            yield True
        except CallbackFailed:
            self._silent[name] = True
            raise
        else:
            self._silent.pop(name, None)
        finally:
            self._called[name] -= 1
            if not self._called[name]:
                del self._called[name]
