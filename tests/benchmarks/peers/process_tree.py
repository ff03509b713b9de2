"""What a process and all its descendants cost: processor time and memory."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROCESS_CLOCK = 2
"""Linux' CPUCLOCK_SCHED: all threads of a process, those that ended too, in nanoseconds."""
_TICKS = os.sysconf("SC_CLK_TCK")
_ENDED_CHILDREN = slice(13, 15)
"""Fields of /proc/<pid>/stat after the name: user and system time of children that ended, in ticks."""
_LISTENS = "0A"
"""The state of a listening socket in /proc/net/tcp."""


def cpu_seconds(root: int) -> float:
    """Return the processor time of a process and its descendants; of those that ended, to the nearest 10 ms."""
    total = 0.0
    for pid in _tree(root):
        with suppress(OSError):
            total += time.clock_gettime(~pid << 3 | _PROCESS_CLOCK)
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += sum(map(int, fields[_ENDED_CHILDREN])) / _TICKS
    return total


def proportional_bytes(root: int) -> int:
    """Return the memory of a process and its descendants; a page that several share counts once."""
    total = 0
    for pid in _tree(root):
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def listening_on(port: int) -> int:
    """Return the id of the process that listens on a port of this machine.

    Raises:
        LookupError: none does, or it belongs to another user.
    """
    sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(link.readlink()) in sockets:
                return int(link.parts[2])
    raise LookupError(f"No process that this user can see listens on port {port}.")


def _listeners(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _tree(root: int) -> Iterator[int]:
    yield root
    for children in Path(f"/proc/{root}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text(encoding="ascii").split():
                yield from _tree(int(child))
