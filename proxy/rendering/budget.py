"""What the machine has for renders: memory, and room for files in progress."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from proxy.system.cgroups import cgroups_of_process, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger(__name__)

SERVICE_BYTES = 116_000_000
"""What the service needs beside its renders: with a bucket and callbacks its resident memory came to 109 MB while 50
photographs of the corpus were rendered by jobs, with a folder as its store to 74 MB; all that page views need not find
out again comes to 8 MB when it is full, some of which those had filled."""

LEAST_BUDGET_BYTES = 64_000_000
"""Less than this renders no photograph at all: a machine so small has to do with what it has."""

_MEBIBYTE = 1 << 20


def render_budget(megabytes: int, *, beside_bytes: int = 0, root: Path = Path("/")) -> int:
    """Give the bytes that all renders together may use: as many mebibytes as were set, or, for 0, what is left here.

    That is the memory of the machine, or of the control group that this process is in, less what the service needs and
    `beside_bytes`. What was set is taken as it is, and warned of when there is not so much.
    """
    left = min(_limits(root)) - SERVICE_BYTES - beside_bytes
    if not megabytes:
        return max(LEAST_BUDGET_BYTES, left)
    if megabytes * _MEBIBYTE > left:
        log.warning("memory_budget_exceeds_memory", detail=_too_much(megabytes, left))
    return megabytes * _MEBIBYTE


def _too_much(megabytes: int, left: int) -> str:
    return (
        f"MEMORY_BUDGET_MB={megabytes}, but beside the service there are {max(0, left) // _MEBIBYTE} MiB: the kernel "
        "may end processes when renders use it all. Set it to 0 to use what there is."
    )


def scratch_budget(place: Path, *, least_bytes: int) -> int:
    """Give the bytes that originals in progress may take at `place`, which need not be there yet: half of what is free.

    The other half is for their derivatives, which come to less, and for others who use that disk.
    """
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    return max(least_bytes, shutil.disk_usage(there).free // 2)


def _limits(root: Path) -> Iterator[int]:
    """Give every bound on the memory of this process, in bytes: the machine's, its control groups'."""
    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for group in cgroups_of_process(root):
        for name in ("memory.max", "memory.high") if group.is_unified else ("memory.limit_in_bytes",):
            if (limit := read_text(group.folder / name).strip()).isdecimal():  # not "max"
                yield int(limit)
