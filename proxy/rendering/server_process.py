"""One process of a fork server, and the messages to and from it; it has no credentials."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

import pipeline
from pipeline.protocol import ENVIRONMENT, Fork, Forked, Ready, Reap, Reaped, Report
from proxy.errors import ProcessDied
from proxy.rendering.log_lines import log_lines

if TYPE_CHECKING:
    from pipeline.protocol import Order

FORK_SECONDS = 10.0
"""The timeout for one fork, which takes a millisecond; a fork server that takes longer is replaced."""

REAP_SECONDS = 5.0
"""The timeout for the end of a child that was killed; a process in an uninterruptible call ends later."""

STOP_SECONDS = 1.0
"""The timeout for the end of a fork server whose socket is shut down, before it is killed."""

_MESSAGE_BYTES = 4096

SEEN = {**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""The whole environment of a fork server: settings for its memory, no credentials.

OpenBLAS, which comparing processes load with numpy, would otherwise reserve memory for each processor of a large
machine, and start threads.
"""


class ServerProcess:
    """One process of a fork server, from its start until `stop`."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, output: socket.socket) -> None:
        self._process = process
        self._control = control
        self._forks: deque[asyncio.Future[int]] = deque()
        """The forks that were requested and not reported yet, in their order."""
        self._reaps: dict[int, asyncio.Future[int]] = {}
        """The children to be collected, by their process ids."""
        self._living: dict[int, int] = {}
        """The descriptors (pidfds) of all children that are not collected, by their process ids."""
        self._is_over = False
        self.ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._log = asyncio.create_task(_log_output(output, process.pid), context=Context())
        self._reports = asyncio.create_task(self._receive_reports(), context=Context())

    @classmethod
    def start(cls, module: str, *arguments: str, work_folder: Path) -> Self:
        """Start a process that runs `module`; it is usable once `ready` has a result."""
        control, its_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, its_output = socket.socketpair()
        with its_control, its_output:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", module, *arguments],
                stdin=its_control.fileno(),
                stdout=its_output.fileno(),
                stderr=its_output.fileno(),
                env={**SEEN, "TMPDIR": str(work_folder)},
                cwd=Path(pipeline.__file__).parents[1],
                start_new_session=True,  # Ctrl-C in a terminal must reach only the service, which lets renders finish
            )
        control.setblocking(False)  # noqa: FBT003 - by position in the standard library
        return cls(process, control, output)

    @property
    def is_alive(self) -> bool:
        """Whether the process is running; its socket may be closed before the kernel reports its end."""
        return not self._is_over and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def fork(self) -> tuple[int, socket.socket, socket.socket]:
        """Return the process id of a new child, and the sockets of its channel and its log.

        Raises:
            ProcessDied: the fork server ended, hangs, or could not fork.
        """
        channel, its_channel = socket.socketpair()
        output, its_output = socket.socketpair()
        forked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            with its_channel, its_output:
                self._send(Fork(), its_channel, its_output)
            self._forks.append(forked)
            async with asyncio.timeout(FORK_SECONDS):
                return await asyncio.shield(forked), channel, output
        except BaseException as fault:
            channel.close()
            output.close()
            if isinstance(fault, TimeoutError):
                await self.stop()
                raise ProcessDied(f"The fork server did not fork within {FORK_SECONDS:g} s.") from None
            if isinstance(fault, asyncio.CancelledError):
                await self._discard(forked)
            raise

    async def _discard(self, forked: asyncio.Future[int]) -> None:
        """End a child whose caller was cancelled."""
        with suppress(TimeoutError, ProcessDied):
            async with asyncio.timeout(FORK_SECONDS):
                await self.reap(await asyncio.shield(forked))

    def kill(self, pid: int) -> None:
        """Kill a child with its process group.

        If the fork server has ended, the id may belong to another process by now; the descriptor never does.
        """
        if (descriptor := self._living.get(pid)) is None:
            return
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except OSError:  # it was collected
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    async def reap(self, pid: int) -> int | None:
        """Kill a child with its process group; return its exit status once it has ended, or None if it is unknown."""
        self.kill(pid)
        reaped = self._reap(pid)
        with suppress(TimeoutError, ProcessDied):
            async with asyncio.timeout(REAP_SECONDS):
                return await asyncio.shield(reaped)
        return None

    def _reap(self, pid: int) -> asyncio.Future[int]:
        reaped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            self._send(Reap(pid=pid))
        except ProcessDied as fault:
            _fail(reaped, fault)
        else:
            self._reaps[pid] = reaped
        return reaped

    async def stop(self) -> None:
        """Let the process end its children and itself, or kill it if it does not; wait until it has ended."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        await asyncio.to_thread(self._wait)
        await asyncio.wait({self._reports, self._log}, timeout=STOP_SECONDS)
        self._reports.cancel()  # a child that was stopped may hold the other end open
        self._log.cancel()  # a process that a child has started may do so
        await asyncio.gather(self._reports, self._log, return_exceptions=True)
        while self._living:
            os.close(self._living.popitem()[1])

    def _wait(self) -> None:
        """Wait until the process has ended; collect the children that the kernel then gives to this process.

        It does so only if this process has the id 1, as in a container, or is a subreaper.
        """
        if self._process.poll() is None and not _ends(self._process.pid, seconds=STOP_SECONDS):
            self._process.kill()
        self._process.wait()
        for pid in [*self._living]:
            self.kill(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _send(self, order: Order, *sockets: socket.socket) -> None:
        try:
            socket.send_fds(self._control, [msgspec.json.encode(order)], [one.fileno() for one in sockets])
        except OSError:  # also if it reads nothing, and the socket is full
            raise ProcessDied("The fork server is not running.") from None

    async def _receive_reports(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            with self._control:
                while message := await self._receive(loop):
                    self._receive_report(msgspec.json.decode(message, type=Report))
        finally:
            self._end()

    def _end(self) -> None:
        """Kill the children, and fail whatever waits for a report."""
        self._is_over = True
        for pid in self._living:  # one that was stopped before it asked to die with the fork server
            self.kill(pid)
        fault = ProcessDied("The fork server ended.")
        _fail(self.ready, fault)
        for waiting in (*self._forks, *self._reaps.values()):
            _fail(waiting, fault)
        self._forks.clear()
        self._reaps.clear()

    async def _receive(self, loop: asyncio.AbstractEventLoop) -> bytes:
        try:
            return await loop.sock_recv(self._control, _MESSAGE_BYTES)
        except OSError:
            return b""

    def _receive_report(self, report: Ready | Forked | Reaped) -> None:
        if isinstance(report, Ready):
            self.ready.set_result(report)
        elif isinstance(report, Reaped):
            os.close(self._living.pop(report.pid))
            self._reaps.pop(report.pid).set_result(report.status)
        else:
            self._receive_child(report.pid)

    def _receive_child(self, pid: int) -> None:
        forked = self._forks.popleft()
        if pid:
            with suppress(ProcessLookupError):  # the fork server has ended since, and the child with it
                self._living[pid] = os.pidfd_open(pid)
            forked.set_result(pid)
        else:
            _fail(forked, ProcessDied("The kernel refused another process; the machine may be overloaded."))


async def _log_output(output: socket.socket, pid: int) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=output)
    try:
        await log_lines(reader, pid=pid)
    finally:
        writer.close()


def _fail(future: asyncio.Future[int] | asyncio.Future[Ready], fault: ProcessDied) -> None:
    """Fail a future whose caller may be gone."""
    if not future.done():
        future.set_exception(fault)
        future.exception()  # marks it as seen


FIRST_TO_GO = 1000
"""The kernel's highest OOM score: if memory runs out all the same, a render process is killed, not the service."""

NICER = 10
"""The increase in nice value: of two processes that compete for one processor, the nicer gets about a tenth of it."""


def lower_priority(pid: int) -> None:
    """Lower the CPU priority of a process below this one's, and let the kernel kill it first when memory runs out.

    The processes that it forks inherit both.
    """
    with suppress(OSError):  # the process has already ended
        os.setpriority(os.PRIO_PROCESS, pid, os.nice(0) + NICER)
        # Kernels may divide CPU time between sessions first (man 7 sched, "The autogroup feature"); not all do.
        Path(f"/proc/{pid}/autogroup").write_text(str(NICER), encoding="ascii")
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")


def _ends(pid: int, *, seconds: float) -> bool:
    """Return whether a child that is not collected yet ends within `seconds`; `subprocess` would poll in a loop."""
    descriptor = os.pidfd_open(pid)
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        return bool(ended.poll(1000 * seconds))
    finally:
        os.close(descriptor)
