"""The request to stop a run: what is underway is finished, nothing more is begun."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Stopped(Exception):
    """Raised to those who wait for something when the run stops."""


class Stop:
    """A request that is made once and seen by all parts of a run."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self.reason = ""

    @property
    def is_requested(self) -> bool:
        """Return whether the run is to stop."""
        return self._requested.is_set()

    def request(self, reason: str) -> None:
        """Stop the run; the first reason stays."""
        self.reason = self.reason or reason
        self._requested.set()

    async def wait(self) -> None:
        """Wait until the run is to stop."""
        await self._requested.wait()

    async def sleep(self, seconds: float) -> None:
        """Sleep so long.

        Raises:
            Stopped: the run is to stop.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._requested.wait()
        if self.is_requested:
            raise Stopped
