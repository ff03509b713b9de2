"""The request to stop a run: originals in progress are finished, no more are started."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Stopped(Exception):
    """The run stops; raised in tasks that are waiting."""


class Stop:
    """A stop request, visible to all parts of a run."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self.reason = ""
        """Why the run stops, as a sentence."""
        self.advice = ""
        """How to stop at once; empty if that is not possible."""

    @property
    def is_requested(self) -> bool:
        """Return whether a stop was requested."""
        return self._requested.is_set()

    def request(self, reason: str, *, advice: str = "") -> None:
        """Request a stop; later requests do not replace the reason and the advice."""
        if not self.is_requested:
            self.reason, self.advice = reason, advice
        self._requested.set()

    async def wait(self) -> None:
        """Wait until a stop is requested."""
        await self._requested.wait()

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`, or until a stop is requested.

        Raises:
            Stopped: a stop was requested.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._requested.wait()
        if self.is_requested:
            raise Stopped
