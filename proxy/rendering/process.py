"""A render process: it gets requests over pipes, is killed on a timeout, and has no credentials."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from contextlib import suppress
from contextvars import Context, copy_context
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

import pipeline
from pipeline.protocol import ENVIRONMENT, Answer, Compare, Fault, Question, Ready
from proxy.errors import ProcessDied, UnexpectedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger(__name__)

START_SECONDS = 20.0
"""The timeout from the start of a process until it is ready; on an idle machine it takes about 0.3 s."""

LINE_BYTES = 1 << 20
"""The longest response that is read; real ones are below 4 KiB."""

LOGGED_BYTES = 4096
"""The part of a line on stderr that is logged; a decoder may write any number of bytes without a line break."""

PIPES_SECONDS = 1.0
"""How long the pipes of a killed process may stay open; a process that it has started could keep them open for ever."""

_PIECE_BYTES = 64 * 1024

SEEN = {**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""The whole environment of a render process: settings for its memory, no credentials.

OpenBLAS, which comparing processes load with numpy, would otherwise reserve memory for each processor of a large
machine.
"""

_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class RenderProcess:
    """A process that runs `pipeline.process.render_worker`, or another module with the same protocol."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked_in = Context()
        """The log context of the last request, used for what the process writes to stderr; empty before the first."""
        self._stderr = asyncio.create_task(self._log_stderr(), context=Context())
        self.libvips = ""

    @classmethod
    async def start(
        cls, *, work_folder: Path, cpu_seconds: int, module: str = "pipeline.process.render_worker"
    ) -> RenderProcess:
        """Start a process and wait until it is ready.

        Its temporary files lie in `work_folder`, and each request may use `cpu_seconds` of CPU time.

        Raises:
            ProcessDied: the process ended, or was not ready in time.
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
                start_new_session=True,  # Ctrl-C in a terminal must reach only the service, which lets renders finish
            )
        )
        lower_priority(process._process.pid)
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await process._answer()
        except TimeoutError:
            await process.kill()
            raise ProcessDied(
                f"The render process did not start within {START_SECONDS:g} s; the machine may be overloaded."
            ) from None
        except BaseException:  # cancelled: no other code would kill the process
            await process.kill()
            raise
        if isinstance(ready, Ready):
            process.libvips = ready.libvips
        return process

    @property
    def is_alive(self) -> bool:
        """Whether the process is running, according to the kernel, which detects an exit before asyncio does."""
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # asyncio has already collected its exit status
            return False

    async def ask(self, question: Question | Compare, *, deadline_seconds: float) -> Answer:
        """Send a request and return the response; without one, kill the process, as its state is unknown.

        Raises:
            TimeoutError: there was no response within `deadline_seconds`.
            ProcessDied: the process ended before it responded, or its response is invalid.
            UnexpectedError: our code in the process failed, which the original did not cause; the log has the trace.
        """
        try:
            async with asyncio.timeout(deadline_seconds):
                return self._without_fault(await self._exchange(question))
        except BaseException:  # also if the caller is cancelled
            await self.kill()
            raise

    async def _exchange(self, question: Question | Compare) -> Answer:
        if self._process.stdin is None:
            raise ProcessDied("The render process has no stdin.")
        self._asked_in = copy_context()
        # If the process has died, reading the response reports it. uvloop raises RuntimeError for a pipe that it has
        # closed.
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(msgspec.json.encode(question) + b"\n")
            await self._process.stdin.drain()
        return await self._answer()

    def _without_fault(self, answer: Answer) -> Answer:
        if isinstance(answer, Fault):
            log.error("render_process_fault", trace=answer.trace, pid=self._process.pid)
            raise UnexpectedError("The render process raised an unexpected error; see render_process_fault.")
        return answer

    async def _answer(self) -> Answer:
        if self._process.stdout is None:
            raise ProcessDied("The render process has no stdout.")
        try:
            line = await self._process.stdout.readline()
        except ValueError:  # asyncio's, for a line over its limit
            raise ProcessDied(f"The render process sent a response of over {LINE_BYTES} bytes.") from None
        if not line.endswith(b"\n"):
            status = await self._process.wait()
            raise ProcessDied(f"The render process ended with status {status} before it responded.")
        try:
            return _answers.decode(line)
        except msgspec.DecodeError as fault:
            raise ProcessDied(f"The render process returned an invalid response ({fault}).") from fault

    async def kill(self) -> None:
        """Kill the process at once, and wait until it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        ended = asyncio.gather(self._process.wait(), self._stderr)
        await asyncio.wait({ended}, timeout=PIPES_SECONDS)
        if not ended.done():
            self._process._transport.close()  # type: ignore[attr-defined] # noqa: SLF001 - asyncio has no other way
        await ended

    async def _log_stderr(self) -> None:
        if self._process.stderr is None:
            return
        async for line in _lines(self._process.stderr):
            self._asked_in.run(log.warning, "render_process_stderr", line=line, pid=self._process.pid)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield the lines of a stream, each cut after `LOGGED_BYTES`, with a note of how many bytes were left out."""
    line, left_out = b"", 0
    while piece := await stream.read(_PIECE_BYTES):
        *ends, rest = piece.split(b"\n")
        for end in ends:
            line, left_out = _cut(line + end, left_out)
            yield _shown(line, left_out)
            line, left_out = b"", 0
        line, left_out = _cut(line + rest, left_out)
    if line:
        yield _shown(line, left_out)


def _cut(line: bytes, left_out: int) -> tuple[bytes, int]:
    return line[:LOGGED_BYTES], left_out + len(line[LOGGED_BYTES:])


def _shown(line: bytes, left_out: int) -> str:
    text = line.decode(errors="replace").rstrip()
    return f"{text} [{left_out} more bytes]" if left_out else text


FIRST_TO_GO = 1000
"""The kernel's highest OOM score: if memory runs out all the same, a render process is killed, not the service."""

NICER = 10
"""The increase in nice value: of two processes that compete for one processor, the nicer gets about a tenth of it."""


def lower_priority(pid: int) -> None:
    """Lower the CPU priority of a process below this one's, and let the kernel kill it first when memory runs out."""
    with suppress(OSError):  # the process has already ended
        os.setpriority(os.PRIO_PROCESS, pid, os.nice(0) + NICER)
        # Kernels may divide CPU time between sessions first (man 7 sched, "The autogroup feature"); not all do.
        Path(f"/proc/{pid}/autogroup").write_text(str(NICER), encoding="ascii")
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")
