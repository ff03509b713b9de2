"""The control groups whose memory bounds this process, and how much memory is in use."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Cgroup:
    """Where a group's files may be; in a container those above its own are not there."""

    folder: Path
    is_unified: bool
    """Whether it is of version 2, whose files have other names."""


def cgroups_of_process(root: Path) -> Iterator[Cgroup]:
    """Walk the groups of this process from the innermost to the outermost; `root` is where proc and sys are.

    In a container that sees only its own group, the path that the kernel tells may be one outside of it: then the
    group itself is where the groups begin.
    """
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", maxsplit=2)
        inner = Path(path.lstrip("/"))
        for each in (inner, *inner.parents):
            if not controllers:  # version 2 names none, version 1 those of each of its trees
                yield Cgroup(root / "sys/fs/cgroup" / each, is_unified=True)
            elif "memory" in controllers.split(","):
                yield Cgroup(root / "sys/fs/cgroup/memory" / each, is_unified=False)


def read_text(path: Path) -> str:
    """Give what is in a file of the kernel's; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


ROOT: Final = Path("/")

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Bytes in use, and how many may be; not a number where the kernel does not tell."""

    used: float = math.nan
    limit: float = math.nan


@dataclass(frozen=True, slots=True)
class _Files:
    """Where a version of control groups keeps what it knows of the memory of a group."""

    limit: str
    used: str
    reclaimable: str
    """The line of `memory_usage.stat` that counts pages of files that were not used lately."""


_VERSION_1: Final = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2: Final = _Files("memory.max", "memory.current", "inactive_file")


def own_bytes() -> float:
    """Tell how much memory this process has resident; not a number where the kernel does not tell."""
    return _resident_bytes("self")


def render_bytes() -> float:
    """Tell how much memory those processes have resident that this one started: they are its render processes.

    What they share with each other, such as the code of libvips, counts in each.
    """
    tasks = Path("/proc/self/task").glob("*/children")
    children = [pid for task in tasks for pid in read_text(task).split()]
    # One may have ended since.
    return sum(resident for pid in children if not math.isnan(resident := _resident_bytes(pid)))


def memory_usage(root: Path = ROOT) -> MemoryUsage:
    """Tell how much memory is in use of all that may be: of the control group with the least room, else the machine's.

    What the kernel would give back at once, which are files that it remembers, is not in use.
    """
    machine = _machine(root)
    usages = [usage for usage in _groups(root) if usage.limit < machine.limit]
    return min(usages, key=lambda usage: usage.limit - usage.used, default=machine)


def _resident_bytes(pid: str) -> float:
    fields = read_text(Path(f"/proc/{pid}/statm")).split()
    return float(fields[1]) * _PAGE_BYTES if fields else math.nan


def _machine(root: Path) -> MemoryUsage:
    lines = (line.split() for line in read_text(root / "proc/meminfo").splitlines())
    kibibytes = {name: float(value) for name, value, *_ in lines}
    if not {"MemTotal:", "MemAvailable:"} <= set(kibibytes):
        return MemoryUsage()
    total = kibibytes["MemTotal:"] * _KIB
    return MemoryUsage(used=total - kibibytes["MemAvailable:"] * _KIB, limit=total)


def _groups(root: Path) -> Iterator[MemoryUsage]:
    """Find every control group that this process is in and that has a limit of its own."""
    for group in cgroups_of_process(root):
        if usage := _group(group.folder, _VERSION_2 if group.is_unified else _VERSION_1):
            yield usage


def _group(folder: Path, files: _Files) -> MemoryUsage | None:
    limit, used = read_text(folder / files.limit).strip(), read_text(folder / files.used).strip()
    if not limit.isdecimal() or not used.isdecimal():
        return None
    stat = dict(line.split(maxsplit=1) for line in read_text(folder / "memory.stat").splitlines())
    return MemoryUsage(used=float(used) - float(stat.get(files.reclaimable, 0)), limit=float(limit))
