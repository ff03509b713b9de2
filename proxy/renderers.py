"""The pool of render processes: pixels happen in them, with a slot, a deadline and nothing worth stealing."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import time
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
import structlog

import pipeline
from pipeline.errors import BY_CODE, Refused
from pipeline.size import Size
from pipeline.wire import ENVIRONMENT, Answer, Derived, Question, Ready, Refusal, Render
from proxy import metrics
from proxy.errors import DeadlineExceeded, ProcessDied
from proxy.priority import give_way

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from proxy.limiter import Limiter

log = structlog.get_logger(__name__)

START_SECONDS = 20.0
"""How long a process may take from its start to its first word; it takes about 0.3 s on an idle machine."""

LINE_BYTES = 1 << 20
"""The longest answer that is read; a real one is below 4 KiB."""

SEEN = {**ENVIRONMENT, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""All that a render process sees of the environment: what it needs for its memory, no credential."""

RECENT_SECONDS = 5.0
"""How long a render that went well shows that all is well."""

TINY_PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000200000002080000000057dd52f80000000e4944415478da6370686038f01f0005c5028045"
    "fe74bd0000000049454e44ae426082"
)
"""A grey PNG of 2 x 2 pixels, for trying a process."""

_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class RenderProcess:
    """One `python -m pipeline.worker`: a question in, an answer out, one at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stderr = asyncio.create_task(self._log_stderr(), context=Context())  # no line of what it was started for
        self.libvips = ""

    @classmethod
    async def start(cls) -> RenderProcess:
        """Start a process and wait for its first word.

        Raises:
            ProcessDied: it ended, or said nothing in time.
        """
        process = cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "pipeline.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=SEEN,
                cwd=Path(pipeline.__file__).parents[1],
                limit=LINE_BYTES,
                start_new_session=True,  # a Ctrl-C at the terminal is for the service, which lets renders finish
            )
        )
        give_way(process._process.pid)
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await process._answer()
        except TimeoutError:
            await process.kill()
            raise ProcessDied("The render process did not start in time; is the machine overloaded?") from None
        if isinstance(ready, Ready):
            process.libvips = ready.libvips
        return process

    @property
    def is_alive(self) -> bool:
        """False once the process has ended: the kernel knows before asyncio does."""
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # asyncio has taken its exit status already
            return False

    async def ask(self, question: Question) -> Answer:
        """Send a question and wait for its answer.

        Raises:
            ProcessDied: the process ended before it answered.
        """
        if self._process.stdin is None:
            raise ProcessDied("The render process has no stdin.")
        # It died: reading the answer tells. uvloop raises RuntimeError on a pipe that it has closed.
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(msgspec.json.encode(question) + b"\n")
            await self._process.stdin.drain()
        return await self._answer()

    async def _answer(self) -> Answer:
        if self._process.stdout is None:
            raise ProcessDied("The render process has no stdout.")
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            status = await self._process.wait()
            raise ProcessDied(f"The render process ended with status {status} before it answered.")
        return _answers.decode(line)

    async def kill(self) -> None:
        """End the process now, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._stderr

    async def _log_stderr(self) -> None:
        if self._process.stderr is None:
            return
        async for line in self._process.stderr:
            log.warning("render_process_said", line=line.decode(errors="replace").rstrip(), pid=self._process.pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """What came of a question, after how long in line and how long at work."""

    derived: Derived
    wait_seconds: float
    render_seconds: float


class Renderers:
    """Render processes that are kept and reused, never more at work than the limiter lets in."""

    def __init__(self, *, limiter: Limiter, deadline_seconds: float) -> None:
        self._limiter = limiter
        self._deadline_seconds = deadline_seconds
        self._idle: list[RenderProcess] = []
        self._libvips = ""
        self._last_answer = -math.inf

    @property
    def libvips(self) -> str:
        """The version of libvips that renders, as the last process that started said it; empty before `start`."""
        return self._libvips

    async def start(self) -> None:
        """Start one process, so that the first caller does not wait for it and a broken installation shows at once."""
        self._idle.append(await self._process())

    def place(self, *, patient: bool = False) -> AbstractContextManager[None]:
        """Hold a place on the way to a slot; see `Limiter.place`."""
        return self._limiter.place(patient=patient)

    async def check(self) -> None:
        """Return when a render went well a moment ago, or a tiny one does now; raise what is wrong otherwise.

        On a busy machine the tiny picture would stand in line behind the very renders that show that all is well.
        """
        if time.monotonic() - self._last_answer < RECENT_SECONDS:
            return
        with TemporaryDirectory(prefix="gf-images-check-") as folder:
            await self.render(_tiny_question(Path(folder)))

    async def close(self) -> None:
        """End every idle process."""
        while self._idle:
            await self._idle.pop().kill()

    async def render(self, question: Render) -> Rendering:
        """Ask a process for derivatives, once there is a slot.

        A caller that is cancelled takes its process with it: what a process does cannot be taken back otherwise.

        Raises:
            Refused: what is wrong with the original, from `pipeline.errors`.
            DeadlineExceeded: it took too long; the process was killed.
            ProcessDied: the process died under it.
        """
        asked = time.perf_counter()
        async with self._limiter.slot():
            started = time.perf_counter()
            answer = await self._ask(question)
            ended = time.perf_counter()
            self._last_answer = time.monotonic()
        if isinstance(answer, Refusal):
            raise BY_CODE.get(answer.code, Refused)(answer.detail)
        if not isinstance(answer, Derived):
            raise ProcessDied(f"The render process answered {type(answer).__name__} to a Render.")
        return Rendering(derived=answer, wait_seconds=started - asked, render_seconds=ended - started)

    async def _ask(self, question: Question) -> Answer:
        process = await self._living_process()
        try:
            async with asyncio.timeout(self._deadline_seconds):
                answer = await process.ask(question)
        except TimeoutError:
            await self._bury(process, cause="deadline")
            raise DeadlineExceeded(
                f"Rendering took longer than {self._deadline_seconds:g} s; a smaller original may do."
            ) from None
        except ProcessDied:
            await self._bury(process, cause="died")
            raise
        except BaseException:  # cancelled, or an answer that makes no sense: what it does now cannot be known
            await self._bury(process, cause="cancelled")
            raise
        self._idle.append(process)
        return answer

    async def _living_process(self) -> RenderProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process
            await self._bury(process, cause="idle")
        return await self._process()

    async def _process(self) -> RenderProcess:
        process = await RenderProcess.start()
        self._libvips = process.libvips
        return process

    async def _bury(self, process: RenderProcess, *, cause: str) -> None:
        metrics.render_process_deaths_total.labels(cause).inc()
        await process.kill()


def _tiny_question(folder: Path) -> Render:
    path = folder / "original"
    path.write_bytes(TINY_PICTURE)
    return Render(path=str(path), folder=str(folder), sizes=(Size(name="tiny", width=1),))
