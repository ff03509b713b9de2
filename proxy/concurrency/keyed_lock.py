"""One flight of an original at a time, all of them as urgent as the most urgent of those who wait for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from proxy.concurrency.admission import RETRY_AFTER_SECONDS
from proxy.errors import Busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.concurrency.admission import Priority, Ticket


class KeyedLock:
    """What the flights of one original share as long as there are any."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._turns: WeakSet[Ticket] = WeakSet()

    def raise_priority(self, priority: Priority) -> None:
        """Have every flight that is in it, or waits for it, be at least that urgent."""
        for ticket in self._turns:
            ticket.raise_priority(priority)

    def register(self, ticket: Ticket) -> None:
        """Count somebody among those who can be hurried, for as long as there is such a one."""
        self._turns.add(ticket)

    @asynccontextmanager
    async def hold(self, ticket: Ticket) -> AsyncIterator[None]:
        """Be the only one in it for the length of the block, after those who came before.

        Raises:
            Busy: they were not done in time.
        """
        try:
            async with asyncio.timeout(ticket.max_wait_seconds):
                await self._lock.acquire()
        except TimeoutError:
            raise Busy(
                "Derivatives of this original are being made, which takes longer than usual; try again in a moment.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from None
        try:
            yield
        finally:
            self._lock.release()


class KeyedLocks:
    """The berth of each original that anything is done with; others cost nothing."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, KeyedLock] = WeakValueDictionary()

    def for_key(self, original: str) -> KeyedLock:
        """Give the berth of an original; it is the same one for as long as somebody keeps it."""
        return self._locks.setdefault(original, KeyedLock())
