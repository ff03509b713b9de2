"""The main loop of a fork server: it forks a child for each request, and opens no original itself.

It has loaded all code that a child needs, and has one thread. Standard input is the socket to the service.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from pipeline.heap import release_memory
from pipeline.process import sandbox
from pipeline.process.channel import Closed, ServiceChannel
from pipeline.process.confinement.trial import try_out
from pipeline.process.mapped_files import release_mapped_files
from pipeline.protocol import Fault, Fork, Forked, Order, Reap, Reaped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.protocol import Ready, SandboxLevel

    Converse = Callable[[ServiceChannel], None]

_TRACE_CHARACTERS = 8_000
"""The end of a traceback that is passed on: it holds the exception and the innermost calls."""

_MESSAGE_BYTES = 4096
_SOCKETS = 2
"""What comes with `Fork`: the channel of the child, and its log."""

_CHANNEL, _OUTPUT, _LOG = 0, 1, 2
"""The descriptors of a child."""


def serve(converse: Callable[[ServiceChannel, SandboxLevel], None], *, get_ready: Callable[[], Ready]) -> None:
    """Fork a child for each `Fork` until the service closes the socket; `converse` is what a child does.

    `sys.argv[1]`, if present, limits the CPU time of a child, in seconds, and `sys.argv[2]` is its `SandboxLevel`. An
    exception of `converse` is sent as a `Fault`: it is a defect of our code or of the machine, and must not look like
    the death of a decoder.
    """
    seconds = int(sys.argv[1]) if sys.argv[1:] else sandbox.CPU_SECONDS
    level = cast("SandboxLevel", sys.argv[2]) if sys.argv[2:] else "best"
    server = _Server(
        socket.socket(fileno=os.dup(_CHANNEL)), lambda channel: converse(channel, level), cpu_seconds=seconds
    )
    ready = msgspec.structs.replace(get_ready(), sandbox=try_out(_temporary_folder(), level))
    # A collection in a child would otherwise write to every object, and so copy all pages. One here, which takes 8 ms,
    # would find nothing: Python collects while it imports.
    gc.freeze()
    release_memory()
    release_mapped_files()
    server.send(ready)
    server.run()


def _temporary_folder() -> Path:
    # tempfile is avoided: it imports 1.3 MB of compression and random-number modules.
    return Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - nothing is written there


class _Server:
    def __init__(self, control: socket.socket, converse: Converse, *, cpu_seconds: int) -> None:
        self._control = control
        self._converse = converse
        self._cpu_seconds = cpu_seconds
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._ending: dict[int, int] = {}
        """The children to collect: their process ids by a descriptor that becomes readable when they have ended."""
        self._living: set[int] = set()
        """The process ids of the children that are not collected."""

    def send(self, message: msgspec.Struct) -> None:
        self._control.send(msgspec.json.encode(message))

    def run(self) -> None:
        """Carry out orders until the service is gone, then end the children."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._ending:
                    self._collect(descriptor)
                elif not self._carry_out():
                    self._end_children()
                    return

    def _carry_out(self) -> bool:
        message, sockets, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, _SOCKETS)
        if not message:
            return False
        order = msgspec.json.decode(message, type=Order)
        if isinstance(order, Fork):
            self._fork(sockets)
        else:
            self._watch(order)
        return True

    def _fork(self, sockets: Sequence[int]) -> None:
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # the limit of processes, or no memory
            pid = -1
        if not pid:
            _be_child(self._converse, sockets, server=server, cpu_seconds=self._cpu_seconds)
        for descriptor in sockets:
            os.close(descriptor)
        if pid > 0:
            _lead_group(pid)  # here too, so that the service can kill the group as soon as it knows it
            self._living.add(pid)
        self.send(Forked(pid=max(pid, 0)))

    def _watch(self, order: Reap) -> None:
        descriptor = os.pidfd_open(order.pid)
        self._ending[descriptor] = order.pid
        self._poll.register(descriptor, select.POLLIN)

    def _collect(self, descriptor: int) -> None:
        pid = self._ending.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self._living.remove(pid)
        self.send(Reaped(pid=pid, status=os.waitstatus_to_exitcode(status)))

    def _end_children(self) -> None:
        for pid in self._living:
            os.killpg(pid, signal.SIGKILL)
        for pid in self._living:
            os.waitpid(pid, 0)


def _be_child(converse: Converse, sockets: Sequence[int], *, server: int, cpu_seconds: int) -> None:
    """Answer one request, and exit; nothing of the fork server's own sockets is left open."""
    status = 1
    try:
        _lead_group(0)
        sandbox.die_with_parent(server)
        channel, log = sockets
        os.dup2(channel, _CHANNEL)
        os.dup2(log, _OUTPUT)
        os.dup2(log, _LOG)
        os.closerange(_LOG + 1, os.sysconf("SC_OPEN_MAX"))
        sandbox.limit_resources(cpu_seconds)
        _answer(converse, ServiceChannel(_CHANNEL))
        status = 0
    except Closed:
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may return to the loop of the fork server
        traceback.print_exc()
    finally:
        os._exit(status)


def _answer(converse: Converse, channel: ServiceChannel) -> None:
    try:
        converse(channel)
    except Closed:
        raise
    except Exception:  # noqa: BLE001 - the outermost call: the service logs the trace
        channel.send(Fault(trace=traceback.format_exc()[-_TRACE_CHARACTERS:]))
    channel.wait_for_end()  # the service ends a child, and may look at it before


def _lead_group(pid: int) -> None:
    """Let a child lead a process group, so that it can be killed with all processes that it starts."""
    os.setpgid(pid, 0)
