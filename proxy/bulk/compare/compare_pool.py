"""The sandboxed processes that decode and compare pictures, which may be hostile, each pair within a deadline."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.protocol import Compared
from proxy.errors import DeadlineExceeded, ProcessDied
from proxy.rendering.answers import check_copies, checked_comparison
from proxy.rendering.fork_server import ForkServer

if TYPE_CHECKING:
    from pipeline.protocol import Compare, SandboxLevel

MODULE = "pipeline.process.compare_server"

DEADLINE_SECONDS = 120.0
"""For one pair: 2000 x 1500 pixels take 2 s, and the parts that are scored are never larger."""


class ComparePool:
    """Compares up to `most` pairs at once, each in a process of its own; `work_folder` is for temporary files."""

    def __init__(
        self,
        *,
        most: int,
        work_folder: Path,
        sandbox: SandboxLevel = "best",
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._slots = asyncio.Semaphore(most)
        self._deadline_seconds = deadline_seconds
        self._server = ForkServer(
            MODULE,
            cpu_seconds=2 * math.ceil(deadline_seconds),
            sandbox=sandbox,
            work_folder=lambda: work_folder,
            on_lost=lambda: None,
        )

    async def start(self) -> None:
        """Start the fork server, so that a broken installation fails at the start.

        Raises:
            ProcessDied: it does not start.
            CannotStart: the kernel does not enforce the sandbox that is required.
        """
        await self._server.start()

    async def compare(self, question: Compare) -> Compared:
        """Return the similarity of two files.

        Raises:
            DeadlineExceeded: the comparison exceeded its deadline; the process was killed.
            ProcessDied: the process died.
            UnexpectedError: our code in the process failed.
        """
        async with self._slots:
            try:
                async with asyncio.timeout(self._deadline_seconds):
                    child = await self._server.fork()
                    try:
                        child.send(question)
                        answer = await child.receive()
                    finally:
                        await child.end()
            except TimeoutError:
                raise DeadlineExceeded(f"The comparison took longer than {self._deadline_seconds:g} s.") from None
        if not isinstance(answer, Compared):
            raise ProcessDied(f"The process sent an unexpected {type(answer).__name__}.")
        compared = checked_comparison(answer, question.limits)
        check_copies(compared, Path(question.folder))
        return compared

    async def close(self) -> None:
        """Kill all of them."""
        await self._server.close()
