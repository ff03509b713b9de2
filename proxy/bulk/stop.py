"""The word that ends a run: what is underway is finished, nothing more is begun."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Stopped(Exception):
    """Raised to those who wait for something that a run which stops will not see."""


class Stop:
    """Said once, heard by everybody who waits."""

    def __init__(self) -> None:
        self._said = asyncio.Event()
        self.reason = ""

    @property
    def is_requested(self) -> bool:
        """Whether the run is to end."""
        return self._said.is_set()

    def request(self, reason: str) -> None:
        """End the run; the first reason stays."""
        self.reason = self.reason or reason
        self._said.set()

    async def wait(self) -> None:
        """Return when it is said."""
        await self._said.wait()

    async def sleep(self, seconds: float) -> None:
        """Sleep so long.

        Raises:
            Stopped: the run is to end.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._said.wait()
        if self.is_requested:
            raise Stopped
