"""A memory control group with the limit of a small machine."""

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
"""A shell command that joins the group before it runs a program, so that all memory of the program counts."""


class CannotMakeGroups(Exception):
    """This process may not create memory control groups; the message contains the folder."""


@dataclass(frozen=True, slots=True)
class Group:
    """A memory control group, of version 1 or 2."""

    folder: Path
    is_v2: bool

    @property
    def entry(self) -> tuple[str, ...]:
        """The prefix that runs a command in the group."""
        return ("/bin/sh", "-c", MOVE_THERE, str(self.folder / "cgroup.procs"))

    def limit(self, most_bytes: int) -> None:
        """Limit the memory of the group, beyond which the kernel kills; on version 2, swap is disabled too."""
        if self.is_v2:
            _write(self.folder / "memory.max", str(most_bytes))
            with contextlib.suppress(OSError):  # the file exists only where the machine has swap
                _write(self.folder / "memory.swap.max", "0")
        else:
            _write(self.folder / "memory.limit_in_bytes", str(most_bytes))

    def kills(self) -> int:
        """Return how many processes the kernel killed for lack of memory."""
        return self._number("memory.events" if self.is_v2 else "memory.oom_control", "oom_kill")

    def held_bytes(self) -> int:
        """Return the memory of its processes that cannot be reclaimed: their own, without cached files."""
        return self._number("memory.stat", "anon" if self.is_v2 else "total_rss")

    def _number(self, file: str, name: str) -> int:
        lines = (self.folder / file).read_text(encoding="ascii").splitlines()
        return int(dict(line.split() for line in lines)[name])


@contextlib.contextmanager
def memory_group(most_bytes: int) -> Iterator[Group]:
    """Yield a group limited to `most_bytes`; all processes in it must have ended when the block ends.

    Raises:
        CannotMakeGroups: this process lacks the privilege, as on most machines for continuous integration.
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
            folder.rmdir()  # version 2 has the memory controller only where the parent group delegates it
    raise CannotMakeGroups(
        f"no memory control group can be created below {CGROUPS}: that requires root, or a delegated group"
    )


def _parents() -> Iterator[tuple[Path, bool]]:
    """Yield the groups of this process and their parents, nearest first, each with whether it is of version 2."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                mount = CGROUPS / controllers
                own = mount / path.lstrip("/")
                yield from ((each, not controllers) for each in (own, *own.parents) if each.is_relative_to(mount))


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="ascii")
