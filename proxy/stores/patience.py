"""How long a store that is troubled is asked again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from anyio import fail_after, sleep

from proxy.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long one thing is asked for; `total_seconds` holds the attempts and the waits between them.

    The waits double from the first to the longest, and each is cut to a random part of itself, so that many who
    failed together do not come back together.
    """

    attempts: int = 10
    first_wait_seconds: float = 0.1
    longest_wait_seconds: float = 2.0
    attempt_seconds: float = 20.0
    total_seconds: float = 60.0

    def wait_seconds(self, attempt: int) -> float:
        """Give how long to wait after the attempt of that number, counted from 0."""
        longest = min(self.first_wait_seconds * 2 ** min(attempt, 30), self.longest_wait_seconds)
        return random.uniform(0, longest)  # noqa: S311 - spreads load, keeps no secret


async def patiently(ask: Callable[[], Awaitable[T]], patience: Patience) -> T:
    """Give what `ask` returns, asking again while the store is unavailable.

    Raises:
        StoreUnavailable: the last attempt's trouble, or that no answer came in time.
    """
    try:
        with fail_after(patience.total_seconds):
            for attempt in range(patience.attempts - 1):
                try:
                    with fail_after(patience.attempt_seconds):
                        return await ask()
                except (StoreUnavailable, TimeoutError):
                    await sleep(patience.wait_seconds(attempt))
            with fail_after(patience.attempt_seconds):
                return await ask()
    except TimeoutError as error:
        raise StoreUnavailable("The store gave no answer in time.") from error
