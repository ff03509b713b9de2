"""The right to render now: a bounded line in front of a number of slots."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from proxy.errors import Busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RETRY_AFTER_SECONDS = 2
"""What a caller that finds the line full is told; a place comes free with every render, which takes about a second."""


class Limiter:
    """Lets at most `slots` callers work at once; at most `waiting` more may stand in line, first come first served."""

    def __init__(self, *, slots: int, waiting: int) -> None:
        self._slots = slots
        self._waiting = waiting
        self._working = 0
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def working(self) -> int:
        """How many callers hold a slot."""
        return self._working

    @property
    def in_line(self) -> int:
        """How many callers wait for a slot."""
        return len(self._line)

    @asynccontextmanager
    async def slot(self, *, patient: bool = False) -> AsyncIterator[None]:
        """Hold a slot for the length of the block.

        A `patient` caller (a job that is safe in its queue) may always join the line.

        Raises:
            Busy: the line is full.
        """
        await self._enter(patient=patient)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, *, patient: bool) -> None:
        if self._working < self._slots and not self._line:
            self._working += 1
            return
        if len(self._line) >= self._waiting and not patient:
            raise Busy(
                f"{self._working} renders are running and {len(self._line)} wait; try again in a moment.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        await self._wait_in_line()

    async def _wait_in_line(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the slot came in the very moment of giving up: pass it on
                self._leave()
            else:
                self._line.remove(turn)
            raise

    def _leave(self) -> None:
        self._working -= 1
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                self._working += 1
                turn.set_result(None)
                return
