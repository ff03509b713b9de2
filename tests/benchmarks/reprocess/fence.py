"""A bound on the memory of a command with all its processes, and how much of it they took."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@dataclass
class Fence:
    """Where memory is bounded and read; without a `group` it is only read, process by process."""

    group: Path | None
    limit_bytes: int
    peak_bytes: int = 0
    """The most that all processes together held in memory of their own, as far as it was looked at."""
    oom_kills: int = 0
    _roots: list[int] = field(default_factory=list)

    def command(self, words: Sequence[str]) -> list[str]:
        """Give the command that runs `words` within the bound."""
        if self.group is None:
            return [*words]
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.group / "cgroup.procs"), *words]

    def look(self, pid: int) -> None:
        """Read how much is held now, by the process of that id and its children."""
        self.peak_bytes = max(self.peak_bytes, _resident(pid) if self.group is None else _counted(self.group))
        if self.group is not None:
            self.oom_kills = _oom_kills(self.group)

    @property
    def described(self) -> str:
        """Say how memory was bounded."""
        megabytes = self.limit_bytes >> 20
        if self.group is None:
            return "memory not bounded, as this machine lets nobody make a cgroup: the sum of all processes' PSS"
        return f"in a memory cgroup of {megabytes} MB"


@contextmanager
def fenced(limit_bytes: int) -> Iterator[Fence]:
    """Lend a bound, in whichever version of cgroups the machine has; only a reader where it lets us have none."""
    group = _made(limit_bytes)
    try:
        yield Fence(group, limit_bytes)
    finally:
        if group is not None:
            with suppress(OSError):  # a render process that was left may take a moment to find out
                group.rmdir()


def _made(limit_bytes: int) -> Path | None:
    for root, limits in ((V1, ["memory.limit_in_bytes"]), (V2, ["memory.max"])):
        group = root / f"gf-images-bench-{os.getpid()}"
        try:
            group.mkdir(exist_ok=True)
            for limit in limits:
                (group / limit).write_text(str(limit_bytes))
        except OSError:
            with suppress(OSError):
                group.rmdir()
        else:
            return group
    return None


def _counted(group: Path) -> int:
    numbers = _numbers(group / "memory.stat")
    return numbers.get("total_rss", numbers.get("anon", 0))


def _oom_kills(group: Path) -> int:
    for name in ("memory.oom_control", "memory.events"):
        if (group / name).exists():
            return _numbers(group / name).get("oom_kill", 0)
    return 0


def _numbers(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines}


def _resident(pid: int) -> int:
    total = 0
    with suppress(OSError):  # it has just ended
        total = _numbers_of_rollup(Path(f"/proc/{pid}/smaps_rollup"))
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(_resident(int(child)) for child in task.read_text().split())
    return total


def _numbers_of_rollup(path: Path) -> int:
    pss = next(line for line in path.read_text().splitlines() if line.startswith("Pss:"))
    return int(pss.split()[1]) * 1024
