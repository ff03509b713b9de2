"""Parts of running work that callers wait for, each of which may be ready before the whole."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterator

T = TypeVar("T")


class AwaitedParts(Generic[T]):
    """The parts of each piece of work that callers wait for now, in the order in which they began to wait."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[tuple[str, asyncio.Future[T]]]] = {}

    @contextmanager
    def waiting(self, work: Hashable, part: str) -> Iterator[asyncio.Future[T]]:
        """Yield a future that gets a result when that part of the work is ready, if it is within the block."""
        entry = (part, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(work, []).append(entry)
        try:
            yield entry[1]
        finally:
            self._waiting[work].remove(entry)
            if not self._waiting[work]:
                del self._waiting[work]

    def first(self, work: Hashable, among: Collection[str]) -> str:
        """Return which of these parts a caller has waited for longest; empty if no caller waits for any."""
        return next((part for part, _ in self._waiting.get(work, ()) if part in among), "")

    def resolve(self, work: Hashable, part: str, result: T) -> None:
        """Give the callers that wait for that part its result."""
        for waited, future in self._waiting.get(work, ()):
            if waited == part and not future.done():
                future.set_result(result)
