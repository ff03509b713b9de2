"""The control groups whose memory this process is bounded by, its own and those that it is part of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Group:
    """Where a group's files may be; in a container those above its own are not there."""

    folder: Path
    is_unified: bool
    """Whether it is of version 2, whose files have other names."""


def groups(root: Path) -> Iterator[Group]:
    """Walk the groups of this process from the innermost to the outermost; `root` is where proc and sys are.

    In a container that sees only its own group, the path that the kernel tells may be one outside of it: then the
    group itself is where the groups begin.
    """
    for line in text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", maxsplit=2)
        inner = Path(path.lstrip("/"))
        for each in (inner, *inner.parents):
            if not controllers:  # version 2 names none, version 1 those of each of its trees
                yield Group(root / "sys/fs/cgroup" / each, is_unified=True)
            elif "memory" in controllers.split(","):
                yield Group(root / "sys/fs/cgroup/memory" / each, is_unified=False)


def text(path: Path) -> str:
    """Give what is in a file of the kernel's; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
