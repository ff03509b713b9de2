"""One shared call for everybody who asks for the same thing at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs one call per key at a time; whoever asks meanwhile waits for that call's outcome."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        """Count the flights in the air."""
        return len(self._flights)

    async def run(self, key: Hashable, call: Callable[[], Coroutine[object, object, T]]) -> T:
        """Await the flight of `key`, started with `call` if there is none.

        A caller that is cancelled leaves the flight in the air for the others; a flight that nobody waits for
        any more finishes all the same.
        """
        task = self._flights.get(key)
        if task is None:
            task = asyncio.create_task(call())
            self._flights[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End every flight in the air, and wait until it has ended."""
        flights = [*self._flights.values()]
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _land(self, key: Hashable, task: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not warn where every caller has gone away
