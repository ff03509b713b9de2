"""Limits the memory of a command with all its processes, and records how much they use."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.servers.groups import CannotMakeGroups, memory_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.servers.groups import Group

LOOK_EVERY_SECONDS = 0.05


@dataclass
class Fence:
    """A memory limit and its measurements; without a `group`, memory is only measured, process by process."""

    group: Group | None
    limit_bytes: int
    held: list[int] = field(default_factory=list)
    """The memory of all processes together at each measurement: the group's anonymous memory, or else the sum of their
    PSS."""
    oom_kills: int = 0

    @property
    def entry(self) -> tuple[str, ...]:
        """The prefix that runs a command within the limit."""
        return self.group.entry if self.group else ()

    @property
    def peak_bytes(self) -> int:
        """The highest measurement."""
        return max(self.held, default=0)

    def parts(self, count: int) -> list[int]:
        """Return the peaks of `count` equal spans of time, which show whether memory grows."""
        ends = [len(self.held) * number // count for number in range(count + 1)]
        return [max(self.held[begin:end], default=0) for begin, end in pairwise(ends)]

    def look(self, pid: int) -> None:
        """Measure the memory of the process `pid` and its children, and the kills by the kernel."""
        self.held.append(self.group.held_bytes() if self.group else _resident(pid))
        if self.group:
            self.oom_kills = self.group.kills()

    @contextlib.contextmanager
    def watching(self, pid: int) -> Iterator[None]:
        """Measure repeatedly for the length of the block."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(LOOK_EVERY_SECONDS):
                self.look(pid)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            self.look(pid)

    @property
    def described(self) -> str:
        """A description of the limit, for the report."""
        if self.group is None:
            return "memory not limited, because no cgroup can be created here: the sum of the PSS of all processes"
        return f"in a memory cgroup of {self.limit_bytes >> 20} MB"


@contextlib.contextmanager
def fenced(limit_bytes: int) -> Iterator[Fence]:
    """Yield a memory limit, with either version of cgroups; where this process may create none, it only measures."""
    with contextlib.ExitStack() as stack:
        try:
            group = stack.enter_context(memory_group(limit_bytes))
        except CannotMakeGroups:
            group = None
        yield Fence(group, limit_bytes)


def _resident(pid: int) -> int:
    total = 0
    with contextlib.suppress(OSError):  # the process has just ended
        total = _shared_out(Path(f"/proc/{pid}/smaps_rollup"))
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(_resident(int(child)) for child in task.read_text(encoding="ascii").split())
    return total


def _shared_out(rollup: Path) -> int:
    """Return the memory of a process, including its fraction of memory that several processes map (PSS)."""
    pss = next(line for line in rollup.read_text(encoding="utf-8").splitlines() if line.startswith("Pss:"))
    return int(pss.split()[1]) * 1024
