"""The right to render now: a bounded number of places, and fewer slots."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from proxy.errors import Busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

RETRY_AFTER_SECONDS = 2
"""What a caller that finds the line full is told; a place comes free with every render, which takes about a second."""


class Limiter:
    """Lets `slots` callers work at once, first come first served, and `waiting` more be underway to a slot.

    A caller takes a place first, which costs it nothing if there is none; what it has to fetch, it fetches then, so
    that slow stores hold no slots and no more is fetched than can be worked on.
    """

    def __init__(self, *, slots: int, waiting: int) -> None:
        self._places = slots + waiting
        self._taken = 0
        self._slots = asyncio.Semaphore(slots)  # wakes its waiters in the order they came

    @property
    def taken(self) -> int:
        """How many callers have a place, at work or underway."""
        return self._taken

    @contextmanager
    def place(self, *, patient: bool = False) -> Iterator[None]:
        """Hold a place for the length of the block.

        A `patient` caller (a job that is safe in its queue) always gets one.

        Raises:
            Busy: all places are taken.
        """
        if self._taken >= self._places and not patient:
            raise Busy(
                f"As many renders as may are running or waiting ({self._taken}); try again in a moment.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot for the length of the block, after those who came before."""
        async with self._slots:
            yield
