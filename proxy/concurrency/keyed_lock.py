"""Locks by key; a new caller raises the priority of the tickets ahead of it."""

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
    """A lock on one original, with the tickets that hold it or wait for it."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._turns: WeakSet[Ticket] = WeakSet()

    def raise_priority(self, priority: Priority) -> None:
        """Raise the priority of every registered ticket to at least `priority`."""
        for ticket in self._turns:
            ticket.raise_priority(priority)

    def register(self, ticket: Ticket) -> None:
        """Register a ticket with `raise_priority`; only a weak reference is kept."""
        self._turns.add(ticket)

    @asynccontextmanager
    async def hold(self, ticket: Ticket) -> AsyncIterator[None]:
        """Hold the lock for the length of the block; callers get it in the order in which they came.

        Raises:
            Busy: the lock was not released within the ticket's maximum wait.
        """
        try:
            async with asyncio.timeout(ticket.max_wait_seconds):
                await self._lock.acquire()
        except TimeoutError:
            raise Busy(
                f"Derivatives of this original are still being generated; try again in {RETRY_AFTER_SECONDS} s.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from None
        try:
            yield
        finally:
            self._lock.release()


class KeyedLocks:
    """The locks of all originals in use; an unused lock is garbage-collected."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, KeyedLock] = WeakValueDictionary()

    def for_key(self, original: str) -> KeyedLock:
        """Return the lock of an original, the same one for as long as any caller references it."""
        return self._locks.setdefault(original, KeyedLock())
