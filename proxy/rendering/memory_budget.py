"""The memory that renders may use on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from proxy.system.cgroups import cgroups_of_process, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger(__name__)

SERVICE_BYTES = 116_000_000
"""The memory that the service needs beside its renders. While jobs rendered 50 photographs of the corpus, its resident
memory came to 109 MB with a bucket and callbacks, and to 74 MB with a folder as the store. The caches of page views
take 8 MB when full, part of which those photographs had filled."""

LEAST_BUDGET_BYTES = 64_000_000
"""The smallest budget: with less, no photograph can be rendered. Machines with less memory get it all the same."""

_MEBIBYTE = 1 << 20


def render_budget(megabytes: int, *, beside_bytes: int = 0, root: Path = Path("/")) -> int:
    """Return how many bytes all renders together may use: `megabytes` MiB, or for 0 what this machine has left.

    That is the memory of the machine or of this process's control groups, whichever is least, minus `SERVICE_BYTES` and
    `beside_bytes`. A value that was set is used as it is, with a warning if it exceeds that.
    """
    if not megabytes:
        return max(LEAST_BUDGET_BYTES, _left(beside_bytes, root))
    if excess := budget_excess(megabytes, beside_bytes=beside_bytes, root=root):
        log.warning("memory_budget_exceeds_memory", detail=excess)
    return megabytes * _MEBIBYTE


def budget_excess(megabytes: int, *, beside_bytes: int = 0, root: Path = Path("/")) -> str | None:
    """Return a message if a budget of `megabytes` MiB is more than `render_budget` would return for 0; else None."""
    left = _left(beside_bytes, root)
    if megabytes * _MEBIBYTE <= left:
        return None
    return (
        f"MEMORY_BUDGET_MB={megabytes}, but the service leaves {max(0, left) // _MEBIBYTE} MiB: the kernel may kill "
        "processes if renders use the whole budget. Set it to 0 to use what is left."
    )


def _left(beside_bytes: int, root: Path) -> int:
    return min(_limits(root)) - SERVICE_BYTES - beside_bytes


def _limits(root: Path) -> Iterator[int]:
    """Yield every memory limit of this process in bytes: the machine's, and those of its control groups."""
    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for group in cgroups_of_process(root):
        for name in ("memory.max", "memory.high") if group.is_unified else ("memory.limit_in_bytes",):
            if (limit := read_text(group.folder / name).strip()).isdecimal():  # "max" means no limit
                yield int(limit)
