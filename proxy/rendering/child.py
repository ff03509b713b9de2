"""A child of a fork server: it answers one request, is killed on a timeout, and nothing that it sends is believed."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import msgspec
import structlog

from pipeline.protocol import Answer, Fault
from proxy.errors import ProcessDied, UnexpectedError
from proxy.rendering.log_lines import log_lines

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

LINE_BYTES = 64 * 1024
"""The longest answer that is read; real ones are below 16 KiB."""

TRACE_CHARACTERS = 8_000
"""The end of a traceback that is logged: it holds the exception and the innermost calls."""

PIPES_SECONDS = 1.0
"""How long the sockets of a killed child may stay open; a process that it has started could keep them open for ever."""

_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class Child:
    """A child, from its fork until `end`."""

    def __init__(
        self,
        pid: int,
        channel: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        output: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        *,
        kill: Callable[[int], None],
        reap: Callable[[int], Awaitable[int | None]],
        on_end: Callable[[Child], None],
    ) -> None:
        self.pid = pid
        self._answers, self._requests = channel
        self._output = output[1]
        self._kill = kill
        self._reap = reap
        self._on_end = on_end
        self._log = asyncio.create_task(log_lines(output[0], pid=pid))
        self._ended: asyncio.Task[int | None] | None = None

    @classmethod
    async def connected(
        cls,
        pid: int,
        channel: socket.socket,
        output: socket.socket,
        *,
        kill: Callable[[int], None],
        reap: Callable[[int], Awaitable[int | None]],
        on_end: Callable[[Child], None],
    ) -> Self:
        """Return the child behind these sockets.

        `kill` kills a child with its process group; `reap` does so too, and returns its exit status once it has ended.
        """
        return cls(
            pid,
            await asyncio.open_unix_connection(sock=channel, limit=LINE_BYTES),
            await asyncio.open_unix_connection(sock=output),
            kill=kill,
            reap=reap,
            on_end=on_end,
        )

    def send(self, request: msgspec.Struct) -> None:
        """Send a request, which is small; if the child has died, the answer reports it."""
        # uvloop raises RuntimeError for a socket that it has closed.
        with suppress(ConnectionError, RuntimeError):
            self._requests.write(msgspec.json.encode(request) + b"\n")

    async def receive(self) -> Answer:
        """Return the next answer.

        Raises:
            ProcessDied: the child ended before it answered, or its answer is invalid.
            UnexpectedError: our code in the child failed, which the original did not cause; the log has the trace.
        """
        try:
            line = await self._answers.readline()
        except ValueError:  # asyncio's, for a line over its limit
            raise ProcessDied(f"The render process sent an answer of over {LINE_BYTES} bytes.") from None
        except ConnectionError:
            line = b""
        if not line.endswith(b"\n"):
            raise ProcessDied(_ending(await self.end()))
        try:
            answer = _answers.decode(line)
        except (msgspec.DecodeError, RecursionError):  # its text may quote the answer
            raise ProcessDied("The render process sent an invalid answer.") from None
        if isinstance(answer, Fault):
            log.error("render_process_fault", trace=answer.trace[-TRACE_CHARACTERS:], pid=self.pid)
            raise UnexpectedError("The render process raised an unexpected error; see render_process_fault.")
        return answer

    async def end(self) -> int | None:
        """Kill the child and its process group; return its exit status once it has ended, None if it is unknown."""
        return await asyncio.shield(self.kill())

    def kill(self) -> asyncio.Task[int | None]:
        """Kill the child and its process group now; return the task that waits for its end."""
        if self._ended is None:
            self._kill(self.pid)
            self._ended = asyncio.create_task(self._end())
        return self._ended

    async def _end(self) -> int | None:
        try:
            status = await self._reap(self.pid)
            self._requests.close()
            await asyncio.wait({self._log}, timeout=PIPES_SECONDS)
            self._log.cancel()
            self._output.close()
            await asyncio.gather(self._log, return_exceptions=True)
            return status
        finally:
            self._on_end(self)


def _ending(status: int | None) -> str:
    if status == -signal.SIGSYS:
        return "The render process was killed by its sandbox: it made a system call that only an attack makes."
    return f"The render process ended {'' if status is None else f'with status {status} '}before it answered."
