"""One process that renders: asked over pipes, killed when it takes too long, with nothing worth stealing in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from contextlib import suppress
from contextvars import Context, copy_context
from pathlib import Path

import msgspec
import structlog

import pipeline
from pipeline.protocol import ENVIRONMENT, Answer, Compare, Question, Ready
from proxy.errors import ProcessDied

log = structlog.get_logger(__name__)

START_SECONDS = 20.0
"""How long a process may take from its start to its first word; it takes about 0.3 s on an idle machine."""

LINE_BYTES = 1 << 20
"""The longest answer that is read; a real one is below 4 KiB."""

SEEN = {**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""All that a render process sees of the environment: what it needs for its memory, no credential.

OpenBLAS, which those that compare load with numpy, would reserve memory for each processor of a large machine.
"""

_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class RenderProcess:
    """One `python -m pipeline.process.render_worker`, or another of its kind: a question in, an answer out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked_in = Context()
        """What the lines of the log say of the last question: whose it was; nothing before the first."""
        self._stderr = asyncio.create_task(self._log_stderr(), context=Context())
        self.libvips = ""

    @classmethod
    async def start(
        cls, *, work_folder: Path, cpu_seconds: int, module: str = "pipeline.process.render_worker"
    ) -> RenderProcess:
        """Start a process that works in a folder and may use so much for a question; wait for its first word.

        Raises:
            ProcessDied: it ended, or said nothing in time.
        """
        process = cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                str(cpu_seconds),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**SEEN, "TMPDIR": str(work_folder)},
                cwd=Path(pipeline.__file__).parents[1],
                limit=LINE_BYTES,
                start_new_session=True,  # a Ctrl-C at the terminal is for the service, which lets renders finish
            )
        )
        lower_priority(process._process.pid)
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await process._answer()
        except TimeoutError:
            await process.kill()
            raise ProcessDied("The render process did not start in time; is the machine overloaded?") from None
        except BaseException:  # cancelled: nobody would know of it any more
            await process.kill()
            raise
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

    async def ask(self, question: Question | Compare) -> Answer:
        """Send a question and wait for its answer.

        Raises:
            ProcessDied: the process ended before it answered, or answered what makes no sense.
        """
        if self._process.stdin is None:
            raise ProcessDied("The render process has no stdin.")
        self._asked_in = copy_context()
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
        try:
            return _answers.decode(line)
        except msgspec.DecodeError as fault:
            raise ProcessDied(f"The render process gave an answer that makes no sense ({fault}).") from fault

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
            said = line.decode(errors="replace").rstrip()
            self._asked_in.run(log.warning, "render_process_said", line=said, pid=self._process.pid)


FIRST_TO_GO = 1000
"""The kernel's highest score: where memory runs out all the same it ends a render process, not the service."""

NICER = 10
"""How much nicer: where both want one processor, the nicer gets about a tenth of it."""


def lower_priority(pid: int) -> None:
    """Have the other process take what processors this one and its like do not need, and give memory back first."""
    with suppress(OSError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, pid, os.nice(0) + NICER)
        # Kernels may share out between sessions before that (man 7 sched, "The autogroup feature"); not all do.
        Path(f"/proc/{pid}/autogroup").write_text(str(NICER), encoding="ascii")
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")
