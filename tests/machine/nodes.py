"""A machine of the service: a process that is started, killed, stopped and continued at will."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from loadtest.servers.service import Service
from tests.machine.clock import Clock, remove_shared_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.system.failpoints import Point

Action = Literal["kill", "stop"]

LOOK_EVERY_SECONDS: Final = 0.01

ROOT: Final = Path(__file__).parents[2]


@dataclass(kw_only=True)
class Life:
    """One process of a machine, from its start to its end; times are in seconds since the epoch."""

    pid: int
    descriptor: int
    log: Path
    began: float = field(default_factory=time.time)
    ended: float | None = None
    frozen: list[tuple[float, float]] = field(default_factory=list)
    """When it was stopped, and continued."""


class Node:
    """A machine with its own folder and ports, on the queue and the store of all machines."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self.service = Service(folder=folder / name, settings=settings)
        self.lives: list[Life] = []
        self.is_wanted = True
        """Whether it is started again when it ends."""
        self.is_ending = False
        """Whether its process was asked to end."""
        self.clock = Clock(folder / name / "clock")
        self._orders = folder / name / "orders"
        self._stopped_at: float | None = None
        self._server: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The address at which it listens."""
        return self.service.url

    def open(self) -> None:
        """Start the process that starts the machine's processes."""
        self.service.scratch.mkdir(parents=True, exist_ok=True)
        # Work that the store holds up ends with an event of level debug.
        ours = {"FAILPOINTS": str(self._orders), "LOG_LEVEL": "DEBUG"}
        environment = {**self.service.environment(), **ours, **self.clock.environment()}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.machine.fork_server"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End every process."""
        self.kill()
        if self._server and self._server.stdin and self._server.stdout:
            self._server.stdin.close()
            self._server.wait(timeout=30)
            self._server.stdout.close()
            remove_shared_memory(self._server.pid)
        for life in self.lives:
            os.close(life.descriptor)

    def start(self) -> None:
        """Start a process, unless one runs; do not wait until it is ready."""
        if self.is_running or self._server is None or self._server.stdin is None or self._server.stdout is None:
            return
        log = self.service.folder / f"log-{len(self.lives)}.jsonl"
        log.touch()  # the process may be killed before it opens its log
        self._server.stdin.write(f"{log}\n")
        self._server.stdin.flush()
        self.is_ending = False
        pid = int(self._server.stdout.readline())
        self.lives.append(Life(pid=pid, descriptor=os.pidfd_open(pid), log=log))

    @property
    def is_running(self) -> bool:
        """Whether its process has not ended; a stopped one has not."""
        if not self.lives or self.lives[-1].ended:
            return False
        life = self.lives[-1]
        if select.select([life.descriptor], [], [], 0)[0]:
            life.ended = time.time()
            return False
        return True

    def kill(self, *, with_children: bool = True) -> None:
        """Kill its process, and by default its render processes, as a power cut does; wait until it has ended."""
        if not self.is_running:
            return
        life, children = self.lives[-1], self._children() if with_children else set()
        self._signal(signal.SIGKILL)
        select.select([life.descriptor], [], [], 30)
        self._continued()
        life.ended = time.time()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask its process to end, as a platform does."""
        self.is_ending = True
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop its process, as the host of a virtual machine may."""
        self._signal(signal.SIGSTOP)
        self._stopped_at = self._stopped_at or time.time()

    @property
    def is_frozen(self) -> bool:
        """Whether its process is stopped, by us or at a failpoint."""
        if not self.is_running:
            return False
        stat = Path(f"/proc/{self.lives[-1].pid}/stat")
        with suppress(OSError):
            return stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] == "T"
        return False

    def thaw(self) -> None:
        """Continue its process."""
        if self.is_frozen:
            self._continued()
        self._signal(signal.SIGCONT)

    def order(self, point: Point, action: Action, key: str = "") -> None:
        """Have its process killed or stopped when it next reaches a failpoint, by default with any original."""
        draft = self._orders.with_suffix(".new")
        draft.write_text(f"{point} {action} {key}")
        draft.replace(self._orders)

    @property
    def is_held(self) -> bool:
        """Whether its process is stopped, and no order is left that it has not carried out."""
        return not self._orders.exists() and self.is_frozen

    def disarm(self) -> None:
        """Withdraw an order that was not carried out."""
        self._orders.unlink(missing_ok=True)

    def resident_bytes(self) -> int:
        """Return the memory of its process that it shares with none."""
        total = 0
        with suppress(OSError):
            for line in Path(f"/proc/{self.lives[-1].pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith(("Private_", "Shared_Dirty")):
                    total += int(line.split()[1]) * 1024
        return total

    def _children(self) -> set[int]:
        tasks = Path(f"/proc/{self.lives[-1].pid}/task").glob("*/children")
        found: set[int] = set()
        with suppress(OSError):
            for task in tasks:
                found |= set(map(int, task.read_text(encoding="ascii").split()))
        return found

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.lives[-1].descriptor, number)

    def _continued(self) -> None:
        # When a failpoint stopped it is unknown: at most since it began.
        life = self.lives[-1]
        life.frozen.append((self._stopped_at or life.began, time.time()))
        self._stopped_at = None


def wait_until_one_is_held(nodes: Sequence[Node], seconds: float) -> Node | None:
    """Return the first machine that was ordered to stop and has done so; None if none has within that time, or runs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(node.is_running for node in nodes):
        if held := [node for node in nodes if node.is_held]:
            return held[0]
        time.sleep(LOOK_EVERY_SECONDS)  # a process that stops by itself tells only its parent
    return None
