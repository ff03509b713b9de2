"""The originals that a run sees to, one after another, never all in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from proxy.bulk import failures
from proxy.errors import BadKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from proxy.keys.layouts import Layout
    from proxy.stores.base import Store


class Originals(Protocol):
    """Originals in an order that stays."""

    def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Walk the keys, those behind `after` if it names one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedOriginals:
    """The originals of a store whose keys begin with `prefix`, those that changed at `since` or later."""

    store: Store
    layout: Layout
    prefix: str = ""
    since: datetime | None = None

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Walk the keys in the store's order; see `Originals`."""
        since = self.since and self.since.replace(microsecond=0)  # stores know whole seconds
        async for blob in self.store.list(self.prefix, after=after):
            if self._is_original(blob.key) and (since is None or blob.modified >= since):
                yield blob.key

    def _is_original(self, key: str) -> bool:
        try:
            self.layout.check_original(key)
        except BadKey:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedOriginals:
    """The originals that a file of failures names, those whose keys begin with `prefix`."""

    path: Path
    prefix: str = ""

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Walk the keys in the file's order; all of them where none is `after`. See `Originals`."""
        is_behind = not after or after not in {key async for key in failures.keys(self.path) if key == after}
        async for key in failures.keys(self.path):
            if is_behind and key.startswith(self.prefix):
                yield key
            is_behind = is_behind or key == after


async def count(originals: Originals, *, after: str = "") -> int:
    """Count them, those behind `after` if it names one, by a walk of its own."""
    number = 0
    async for _ in originals.walk(after=after):
        number += 1
    return number


class Walk:
    """A walk that can be asked again after it was broken off: it goes on behind the last key that it gave."""

    def __init__(self, originals: Originals, *, after: str = "") -> None:
        self._originals = originals
        self._last = after
        self._keys: AsyncIterator[str] | None = None

    async def next(self) -> str | None:
        """Give the next key; None at the end. Raises what the walk raises, and may be asked again then."""
        self._keys = self._keys or self._originals.walk(after=self._last)
        try:
            key = await anext(self._keys, None)
        except BaseException:
            self._keys = None
            raise
        self._last = key or self._last
        return key
