"""Single flight: concurrent calls with the same key share one call and its result."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """One running call per key, whose result is returned to every caller that arrives meanwhile."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        """Count the calls that are running."""
        return len(self._flights)

    async def run(self, key: Hashable, call: Callable[[], Coroutine[object, object, T]]) -> T:
        """Return the result of the running call for `key`; start `call` if none is running.

        Cancelling a caller does not cancel the call: it goes on for the other callers, and finishes even without any.
        """
        task = self._flights.get(key)
        if task is None:
            task = asyncio.create_task(call())
            self._flights[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    async def close(self, *, grace_seconds: float = 0) -> None:
        """Wait for running calls for at most `grace_seconds`, cancel the others, and wait until all have ended."""
        flights = [*self._flights.values()]
        if flights and grace_seconds:
            await asyncio.wait(flights, timeout=grace_seconds)
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _land(self, key: Hashable, task: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not warn when every caller was cancelled
