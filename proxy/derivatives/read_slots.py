"""Slots for reads whose clients may be slow: a client that takes almost nothing cannot keep them from the others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from proxy.errors import Busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

GRACE_SECONDS: Final = 2.0
"""How long a client may take nothing, or little, before its slot may go to another."""

MIN_BYTES_PER_SECOND: Final = 16 * 1024
"""The least average speed, over the whole of a read, with which a slot is kept when others wait for one. A phone on a
2G network (EDGE) reaches about that."""

CLIENT_SHARE: Final = 0.75
"""Of the slots, how many one client address may have. All clients behind one proxy have the proxy's address."""

POLL_SECONDS: Final = 0.25
"""How often a request that waits for a slot looks for a client that has become too slow."""

RETRY_AFTER_SECONDS: Final = 5


@dataclass(eq=False, slots=True)
class ReadSlot:
    """The right to read one blob for a client."""

    client: str
    started: float
    last_taken: float
    taken_bytes: int = 0
    evicted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the slot goes to another client: the read must end."""

    def take(self, size: int, now: float) -> None:
        """Record that the client took `size` bytes."""
        self.taken_bytes += size
        self.last_taken = now

    def is_slow(self, now: float) -> bool:
        """Return whether the client has taken nothing lately, or too little over the whole of the read."""
        age = now - self.started
        if age < GRACE_SECONDS:
            return False
        return now - self.last_taken > GRACE_SECONDS or self.taken_bytes < age * MIN_BYTES_PER_SECOND


class ReadSlots:
    """`most` slots; when all are taken, the slowest client that is too slow loses its own."""

    def __init__(self, most: int, *, wait_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._most_for_one = max(1, int(most * CLIENT_SHARE))
        self._wait_seconds = wait_seconds
        self._clock = clock
        self.slots: dict[ReadSlot, None] = {}
        self._clients: Counter[str] = Counter()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def hold(self, client: str) -> AsyncIterator[ReadSlot]:
        """Yield a slot.

        Raises:
            Busy: none became free in time.
        """
        try:
            async with asyncio.timeout(self._wait_seconds):
                slot = await self._acquire(client)
        except TimeoutError:
            raise Busy(
                f"Too many downloads are in progress; try again in {RETRY_AFTER_SECONDS} s.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from None
        try:
            yield slot
        finally:
            self._release(slot)

    def now(self) -> float:
        """Return the time by the clock of the slots."""
        return self._clock()

    async def _acquire(self, client: str) -> ReadSlot:
        while (is_over := self._clients[client] >= self._most_for_one) or len(self.slots) >= self._most:
            self._evict_slowest(client if is_over else None)
            self._freed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._freed.wait()
        now = self._clock()
        slot = ReadSlot(client, now, now)
        self.slots[slot] = None
        self._clients[client] += 1
        return slot

    def _evict_slowest(self, client: str | None) -> None:
        """Take the slot of the slowest client that is too slow; with `client`, of its own slowest read."""
        now = self._clock()
        slow = [
            slot
            for slot in self.slots
            if slot.is_slow(now) and not slot.evicted.is_set() and client in (None, slot.client)
        ]
        if slow:
            min(slow, key=lambda slot: slot.taken_bytes / (now - slot.started)).evicted.set()

    def _release(self, slot: ReadSlot) -> None:
        del self.slots[slot]
        self._clients[slot.client] -= 1
        if not self._clients[slot.client]:
            del self._clients[slot.client]
        self._freed.set()
