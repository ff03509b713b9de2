"""Waiting for what can only be seen by looking: with a deadline, so that a test fails and never hangs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

DEADLINE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.005


async def until(look: Callable[[], Awaitable[T | None]], *, seconds: float = DEADLINE_SECONDS) -> T:
    """Look until there is something to see, and give it.

    Raises:
        TimeoutError: there was nothing within the deadline.
    """
    async with asyncio.timeout(seconds):
        while not (seen := await look()):  # noqa: ASYNC110 - what other processes do raises no event here
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        return seen
