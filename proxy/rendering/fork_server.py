"""A fork server, which forks a child for each original; it is started when it is needed, and again if it has ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from pipeline.protocol import InForce
from proxy.errors import ProcessDied
from proxy.rendering.child import Child
from proxy.rendering.sandbox_level import check_sandbox
from proxy.rendering.server_process import ServerProcess, lower_priority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.protocol import SandboxLevel

log = structlog.get_logger(__name__)

START_SECONDS = 20.0
"""The timeout from the start of a fork server until it is ready; on an idle machine it takes about 0.3 s."""


class ForkServer:
    """Forks children that run `module`; the process is started when it is needed, and again if it has ended.

    A child may use `cpu_seconds` of CPU time, and is confined as the level `sandbox` demands. `work_folder` returns the
    folder for temporary files. `on_lost` is called when the process has ended by itself.
    """

    def __init__(
        self,
        module: str,
        *,
        cpu_seconds: int,
        sandbox: SandboxLevel,
        work_folder: Callable[[], Path],
        on_lost: Callable[[], None],
    ) -> None:
        self._module = module
        self._cpu_seconds = cpu_seconds
        self._level: SandboxLevel = sandbox
        self._work_folder = work_folder
        self._on_lost = on_lost
        self._process: ServerProcess | None = None
        self._starting = asyncio.Lock()
        self._children: set[Child] = set()
        self._closed = asyncio.Event()
        self.libvips = ""
        """The version of libvips in the process that was started last."""
        self.in_force = InForce()
        """What the kernel enforces on its children."""

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive

    async def start(self) -> None:
        """Start the process if it does not run, and wait until it is ready.

        Raises:
            ProcessDied: the process ended, was not ready in time, or the fork server is closed.
            CannotStart: the kernel does not enforce the sandbox that is required.
        """
        async with self._starting:
            if not self.is_running:
                await self._start()

    async def fork(self) -> Child:
        """Return a new child.

        Raises:
            ProcessDied: there is none, even after the process was started again.
        """
        await self.start()
        try:
            return await self._fork()
        except ProcessDied:
            if self.is_running or self._closed.is_set():
                raise
            await self.start()
            return await self._fork()

    async def close(self) -> None:
        """Kill the process and all children; no caller waits for them any more."""
        self._closed.set()
        for child in [*self._children]:
            await child.end()
        async with self._starting:
            if self._process:
                await self._process.stop()
                self._process = None

    async def _fork(self) -> Child:
        process = self._process
        if process is None or self._closed.is_set():
            raise ProcessDied("The service is shutting down and renders nothing more.")
        pid, channel, output = await process.fork()
        try:
            child = await Child.connected(
                pid, channel, output, kill=process.kill, reap=process.reap, on_end=self._children.discard
            )
        except BaseException:  # cancelled
            await process.reap(pid)
            channel.close()
            output.close()
            raise
        self._children.add(child)
        if self._closed.is_set():
            await child.end()
        return child

    async def _start(self) -> None:
        if self._process:
            self._on_lost()
            await self._process.stop()
            log.warning("fork_server_lost", pid=self._process.pid)
        self._process = process = ServerProcess.start(
            self._module, str(self._cpu_seconds), self._level, work_folder=self._work_folder()
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await process.ready
            lower_priority(process.pid)  # earlier, its files in /proc may still be root's, as this process's are
            check_sandbox(self._level, ready.sandbox)
            self.libvips, self.in_force = ready.libvips, ready.sandbox
        except BaseException as fault:  # also if the caller is cancelled: no other code would kill the process
            await process.stop()
            self._process = None
            if isinstance(fault, TimeoutError):
                raise ProcessDied(
                    f"The render process did not start within {START_SECONDS:g} s; the machine may be overloaded."
                ) from None
            raise
        if self._closed.is_set():  # during the start
            await process.stop()
            self._process = None
            raise ProcessDied("The service is shutting down and renders nothing more.")
