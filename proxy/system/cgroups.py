"""Memory usage of the process and its children, and the limits of its control groups."""

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
    """The folder of a control group's files, which may not exist.

    In a container, the parents of its own group have no folder.
    """

    folder: Path
    is_unified: bool
    """Whether the group is of version 2, whose files have other names."""


def cgroups_of_process(root: Path) -> Iterator[Cgroup]:
    """Yield the memory control groups of this process, innermost first; `root` contains proc and sys.

    In a container that sees only its own group, the kernel may report a path outside the container. The group's own
    files are then at the root of the hierarchy, which is always yielded.
    """
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", maxsplit=2)
        inner = Path(path.lstrip("/"))
        for each in (inner, *inner.parents):
            if not controllers:  # version 2 lists no controllers, version 1 those of each hierarchy
                yield Cgroup(root / "sys/fs/cgroup" / each, is_unified=True)
            elif "memory" in controllers.split(","):
                yield Cgroup(root / "sys/fs/cgroup/memory" / each, is_unified=False)


def read_text(path: Path) -> str:
    """Return the text of one of the kernel's files, or an empty string if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


ROOT: Final = Path("/")

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """The bytes in use and the limit; NaN if the kernel does not report them."""

    used: float = math.nan
    limit: float = math.nan


@dataclass(frozen=True, slots=True)
class _Files:
    """The names of the memory files of one version of control groups."""

    limit: str
    used: str
    reclaimable: str
    """The entry of `memory.stat` that counts cached file pages without recent use."""


_VERSION_1: Final = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2: Final = _Files("memory.max", "memory.current", "inactive_file")


def own_bytes() -> float:
    """Return the resident memory of this process in bytes; NaN if the kernel does not report it."""
    return _resident_bytes("self")


def render_bytes() -> float:
    """Return the total resident memory in bytes of this process's descendants, which are its render processes.

    Memory that they share, such as the code of libvips, is counted once per process.
    """
    # A process may have ended since it was listed.
    return sum(resident for pid in _descendants("self") if not math.isnan(resident := _resident_bytes(pid)))


def _descendants(pid: str) -> Iterator[str]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in read_text(task).split():
            yield child
            yield from _descendants(child)


def memory_usage(root: Path = ROOT) -> MemoryUsage:
    """Return the memory usage of the control group with the least free memory.

    It is the machine's if no group has a lower limit than the machine's memory. Memory that the kernel can reclaim at
    once, such as cached files, is not counted as used.
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
    """Yield the memory usage of each control group of this process that has its own limit."""
    for group in cgroups_of_process(root):
        if usage := _group(group.folder, _VERSION_2 if group.is_unified else _VERSION_1):
            yield usage


def _group(folder: Path, files: _Files) -> MemoryUsage | None:
    limit, used = read_text(folder / files.limit).strip(), read_text(folder / files.used).strip()
    if not limit.isdecimal() or not used.isdecimal():
        return None
    stat = dict(line.split(maxsplit=1) for line in read_text(folder / "memory.stat").splitlines())
    return MemoryUsage(used=float(used) - float(stat.get(files.reclaimable, 0)), limit=float(limit))
