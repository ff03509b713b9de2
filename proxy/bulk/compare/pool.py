"""The processes that decode and compare: hostile pictures stay in them, each has a deadline."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from pipeline.protocol import Compared
from proxy.errors import DeadlineExceeded, ProcessDied
from proxy.rendering.process import RenderProcess

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.protocol import Compare

MODULE = "pipeline.process.compare_worker"

DEADLINE_SECONDS = 120.0
"""How long two files may take: 2 s for 2000 x 1500 pixels, of which the scored parts are never more."""


class ComparePool:
    """So many processes at most, kept and asked again; `work_folder` is where they put what they need for a moment."""

    def __init__(self, *, most: int, work_folder: Path, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._slots = asyncio.Semaphore(most)
        self._work_folder = work_folder
        self._deadline_seconds = deadline_seconds
        self._idle: list[RenderProcess] = []
        self._all: set[RenderProcess] = set()

    async def start(self) -> None:
        """Start one, so that a broken installation shows at once.

        Raises:
            ProcessDied: it does not start.
        """
        self._idle.append(await self._started())

    async def compare(self, question: Compare) -> Compared:
        """Ask how alike two files are.

        Raises:
            DeadlineExceeded: it took too long; the process was killed.
            ProcessDied: the process died of it.
        """
        async with self._slots:
            process = self._idle.pop() if self._idle else await self._started()
            try:
                async with asyncio.timeout(self._deadline_seconds):
                    answer = await process.ask(question)
            except TimeoutError:
                await self._bury(process)
                raise DeadlineExceeded(f"Comparing took longer than {self._deadline_seconds:g} s.") from None
            except BaseException:  # it died, or the caller is cancelled: what it does now cannot be known
                await self._bury(process)
                raise
            self._idle.append(process)
        if not isinstance(answer, Compared):
            raise ProcessDied(f"The process answered {type(answer).__name__}.")
        return answer

    async def close(self) -> None:
        """End all of them."""
        for process in tuple(self._all):
            await self._bury(process)

    async def _started(self) -> RenderProcess:
        cpu_seconds = 2 * math.ceil(self._deadline_seconds)
        process = await RenderProcess.start(work_folder=self._work_folder, cpu_seconds=cpu_seconds, module=MODULE)
        self._all.add(process)
        return process

    async def _bury(self, process: RenderProcess) -> None:
        self._all.discard(process)
        await process.kill()
