"""How long a page view waits for the store, where a job is as patient as the store itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from proxy.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTimeouts:
    """Bounds for each thing that the store is asked; somebody looks at an empty frame meanwhile."""

    lookup_seconds: float = 4.0
    """For its word on a blob: so a store that hangs costs a page less than five seconds."""
    transfer_seconds: float = 10.0
    """For bytes to or from it, besides a second for each `min_bytes_per_second`."""
    min_bytes_per_second: int = 256 * 1024
    """A line of 2 Mbit/s is slow, but a line: the largest originals (30 MiB) get two minutes on it."""
    max_wait_seconds: float = 10.0
    """For its turn in each line: for the end of what is being made of the same original, for room, for a render."""

    async def lookup(self, asked: Awaitable[T], *, unbounded: bool = False) -> T:
        """Give the store's word.

        Raises:
            StoreUnavailable: it did not come in time; a caller with `unbounded` waits for it.
        """
        return await _with_timeout(asked, None if unbounded else self.lookup_seconds)

    async def transfer(self, asked: Awaitable[T], size: int, *, unbounded: bool) -> T:
        """Give what comes of moving `size` bytes.

        Raises:
            StoreUnavailable: they were not moved in time; a caller with `unbounded` waits for them.
        """
        return await _with_timeout(
            asked, None if unbounded else self.transfer_seconds + size / self.min_bytes_per_second
        )


async def _with_timeout(asked: Awaitable[T], seconds: float | None) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await asked
    except TimeoutError as error:
        # Python 3.11.2, which is Debian 12's, names what was cancelled as the context only.
        raise StoreUnavailable(_timeout_message(error.__cause__ or error.__context__)) from None


def _timeout_message(cancelled: BaseException | None) -> str:
    """Tell who gave no answer: the store knows, and notes it on what ended the asking."""
    return next(iter(getattr(cancelled, "__notes__", ())), "The store gave no answer in time.")
