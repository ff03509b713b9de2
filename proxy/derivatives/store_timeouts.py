"""The timeouts of page views, for the store and in queues; jobs have no timeouts here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from proxy.concurrency.admission import Ticket
from proxy.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxy.concurrency.admission import Priority

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTimeouts:
    """The timeouts of a page view; they are short because a visitor sees an empty frame meanwhile."""

    lookup_seconds: float = 4.0
    """For a lookup: a store that hangs costs a page view less than five seconds."""
    transfer_seconds: float = 10.0
    """For a transfer, plus one second per `min_bytes_per_second`."""
    min_bytes_per_second: int = 256 * 1024
    """2 Mbit/s, a slow connection but a usable one: the largest originals (30 MiB) get two minutes more."""
    max_wait_seconds: float = 20.0
    """For each queue that does not move: for the lock on the original, for scratch space, for a slot and memory."""
    max_total_seconds: float = 55.0
    """For scratch space, and for a slot and memory, while others get some: a late picture is better than a broken one,
    which browsers do not request again. Proxies usually wait for 60 s."""
    generation_seconds: float = 300.0
    """For the generation of missing sizes as a whole, which other page views may join: about what the other timeouts
    allow for a large original."""

    def ticket(self, priority: Priority) -> Ticket:
        """Return a ticket whose waits in queues end."""
        return Ticket(priority, max_wait_seconds=self.max_wait_seconds, max_total_seconds=self.max_total_seconds)

    async def lookup(self, asked: Awaitable[T], *, unbounded: bool = False) -> T:
        """Return the result of a lookup.

        Raises:
            StoreUnavailable: the lookup timed out; with `unbounded`, it has no timeout here.
        """
        return await _with_timeout(asked, None if unbounded else self.lookup_seconds)

    async def transfer(self, asked: Awaitable[T], size: int, *, unbounded: bool) -> T:
        """Return the result of a transfer of `size` bytes.

        Raises:
            StoreUnavailable: the transfer timed out; with `unbounded`, it has no timeout here.
        """
        return await _with_timeout(
            asked, None if unbounded else self.transfer_seconds + size / self.min_bytes_per_second
        )


async def _with_timeout(asked: Awaitable[T], seconds: float | None) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await asked
    except TimeoutError as error:
        # Python 3.11.2, the version in Debian 12, sets the cancellation only as the context.
        raise StoreUnavailable(_timeout_message(error.__cause__ or error.__context__)) from None


def _timeout_message(cancelled: BaseException | None) -> str:
    """Return the note with which the store names what did not respond, or a general message."""
    return next(iter(getattr(cancelled, "__notes__", ())), "The store did not respond in time.")
