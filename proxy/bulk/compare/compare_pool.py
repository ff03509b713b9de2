"""The sandboxed processes that decode and compare pictures, which may be hostile, each pair within a deadline."""

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
"""For one pair: 2000 x 1500 pixels take 2 s, and the parts that are scored are never larger."""


class ComparePool:
    """A pool of up to `most` processes, which are reused; `work_folder` is for their temporary files."""

    def __init__(self, *, most: int, work_folder: Path, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._slots = asyncio.Semaphore(most)
        self._work_folder = work_folder
        self._deadline_seconds = deadline_seconds
        self._idle: list[RenderProcess] = []
        self._all: set[RenderProcess] = set()

    async def start(self) -> None:
        """Start one process, so that a broken installation fails at the start.

        Raises:
            ProcessDied: the process does not start.
        """
        self._idle.append(await self._start_process())

    async def compare(self, question: Compare) -> Compared:
        """Return the similarity of two files.

        Raises:
            DeadlineExceeded: the comparison exceeded its deadline; the process was killed.
            ProcessDied: the process died.
            UnexpectedError: our code in the process failed.
        """
        async with self._slots:
            process = self._idle.pop() if self._idle else await self._start_process()
            try:
                answer = await process.ask(question, deadline_seconds=self._deadline_seconds)
            except TimeoutError:
                self._all.discard(process)
                raise DeadlineExceeded(f"The comparison took longer than {self._deadline_seconds:g} s.") from None
            except BaseException:  # it died, or the caller was cancelled
                self._all.discard(process)
                raise
            self._idle.append(process)
        if not isinstance(answer, Compared):
            raise ProcessDied(f"The process sent an unexpected {type(answer).__name__}.")
        return answer

    async def close(self) -> None:
        """Kill all of them."""
        while self._all:
            await self._all.pop().kill()

    async def _start_process(self) -> RenderProcess:
        cpu_seconds = 2 * math.ceil(self._deadline_seconds)
        process = await RenderProcess.start(work_folder=self._work_folder, cpu_seconds=cpu_seconds, module=MODULE)
        self._all.add(process)
        return process
