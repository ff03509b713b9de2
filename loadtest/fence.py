"""A bound on the memory of a command with all its processes, and how much of it they took."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.groups import CannotMakeGroups, memory_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.groups import Group

LOOK_EVERY_SECONDS = 0.05


@dataclass
class Fence:
    """Where memory is bounded and read; without a `group` it is only read, process by process."""

    group: Group | None
    limit_bytes: int
    held: list[int] = field(default_factory=list)
    """What all processes together held in memory of their own, each time it was looked at."""
    oom_kills: int = 0

    @property
    def entry(self) -> tuple[str, ...]:
        """Words to put before a command, so that it runs within the bound."""
        return self.group.entry if self.group else ()

    @property
    def peak_bytes(self) -> int:
        """The most that was held at a time, as far as it was looked at."""
        return max(self.held, default=0)

    def parts(self, count: int) -> list[int]:
        """Give the peak of each part of the time, that many of them: whether it grows."""
        ends = [len(self.held) * number // count for number in range(count + 1)]
        return [max(self.held[begin:end], default=0) for begin, end in pairwise(ends)]

    def look(self, pid: int) -> None:
        """Read how much is held now, by the process of that id and its children."""
        self.held.append(self.group.held_bytes() if self.group else _resident(pid))
        if self.group:
            self.oom_kills = self.group.kills()

    @contextlib.contextmanager
    def watching(self, pid: int) -> Iterator[None]:
        """Look again and again as long as the block lasts."""
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
        """Say how memory was bounded."""
        if self.group is None:
            return "memory not bounded, as this machine lets nobody make a cgroup: the sum of all processes' PSS"
        return f"in a memory cgroup of {self.limit_bytes >> 20} MB"


@contextlib.contextmanager
def fenced(limit_bytes: int) -> Iterator[Fence]:
    """Lend a bound, in whichever version of cgroups the machine has; only a reader where it lets us have none."""
    with contextlib.ExitStack() as stack:
        try:
            group = stack.enter_context(memory_group(limit_bytes))
        except CannotMakeGroups:
            group = None
        yield Fence(group, limit_bytes)


def _resident(pid: int) -> int:
    total = 0
    with contextlib.suppress(OSError):  # it has just ended
        total = _shared_out(Path(f"/proc/{pid}/smaps_rollup"))
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(_resident(int(child)) for child in task.read_text(encoding="ascii").split())
    return total


def _shared_out(rollup: Path) -> int:
    """Read a process' memory, its part of what it shares with others."""
    pss = next(line for line in rollup.read_text(encoding="utf-8").splitlines() if line.startswith("Pss:"))
    return int(pss.split()[1]) * 1024
