"""A memory control group of one's own, as small as a small machine."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator

CGROUPS = Path("/sys/fs/cgroup")
MOVE_THERE = 'echo $$ > "$0" && exec "$@"'
"""What a shell is told, so that a program is in the group from its first byte of memory on."""


class CannotMakeGroups(Exception):
    """This process may not make memory control groups; `str()` says where it tried."""


@dataclass(frozen=True, slots=True)
class Group:
    """A memory control group, of the first or of the second version."""

    folder: Path
    is_v2: bool

    @property
    def entry(self) -> tuple[str, ...]:
        """Words to put before a command, so that it runs in the group."""
        return ("/bin/sh", "-c", MOVE_THERE, str(self.folder / "cgroup.procs"))

    def limit(self, most_bytes: int) -> None:
        """Have the kernel kill what goes beyond that many bytes, which no swap makes more of."""
        if self.is_v2:
            _write(self.folder / "memory.max", str(most_bytes))
            with contextlib.suppress(OSError):  # where there is no swap there is no such file
                _write(self.folder / "memory.swap.max", "0")
        else:
            _write(self.folder / "memory.limit_in_bytes", str(most_bytes))

    def kills(self) -> int:
        """Count the processes that the kernel killed for want of memory."""
        return self._number("memory.events" if self.is_v2 else "memory.oom_control", "oom_kill")

    def held_bytes(self) -> int:
        """Tell what its processes hold that cannot be dropped: their own memory, without files that are read."""
        return self._number("memory.stat", "anon" if self.is_v2 else "total_rss")

    def _number(self, file: str, name: str) -> int:
        lines = (self.folder / file).read_text(encoding="ascii").splitlines()
        return int(dict(line.split() for line in lines)[name])


@contextlib.contextmanager
def memory_group(most_bytes: int) -> Iterator[Group]:
    """Lend a group of at most that many bytes; what runs in it must be over when the block ends.

    Raises:
        CannotMakeGroups: they take a privilege that this process lacks, as on most machines for continuous integration.
    """
    group = _made()
    try:
        group.limit(most_bytes)
        yield group
    finally:
        group.folder.rmdir()


def _made() -> Group:
    name = f"gf-images-{uuid4().hex[:8]}"
    for parent, is_v2 in _parents():
        folder, bound = parent / name, "memory.max" if is_v2 else "memory.limit_in_bytes"
        with contextlib.suppress(OSError):
            folder.mkdir()
            if os.access(folder / bound, os.W_OK):
                return Group(folder, is_v2)
            folder.rmdir()  # the second version lends memory only where the group above has it to lend
    raise CannotMakeGroups(f"no memory control group can be made below {CGROUPS}: it takes root, or a delegated group")


def _parents() -> Iterator[tuple[Path, bool]]:
    """Name this process' own groups and those above, nearest first."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                mount = CGROUPS / controllers
                own = mount / path.lstrip("/")
                yield from ((each, not controllers) for each in (own, *own.parents) if each.is_relative_to(mount))


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="ascii")
