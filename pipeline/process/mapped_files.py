"""The pages of files that a process has mapped: the code and the constants of libraries."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MADV_DONTNEED: Final = 4
"""From Linux' `asm-generic/mman-common.h`."""

_MAPPINGS: Final = Path("/proc/self/smaps")


def release_mapped_files() -> None:
    """Unmap the pages of files that this process only reads; does nothing where Linux does not list them.

    They stay in the page cache, from which the system can take them at once when memory is short; a page that is needed
    again is mapped again by a minor fault. In a fork server they were 13 MB of 32 (Linux 6.18): what only starting
    needed, and what Linux maps around it. A mapping that has pages of its own, such as what the dynamic linker wrote,
    is left alone, because they would be lost.
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _clean_mappings():
        madvise(start, end - start, _MADV_DONTNEED)  # what cannot be unmapped stays


def _clean_mappings() -> Iterator[tuple[int, int]]:
    """Yield the first and the last address, exclusive, of each private mapping of a file without pages of its own."""
    if not _MAPPINGS.exists():
        return
    start, end, is_read_only = 0, 0, False
    for line in _MAPPINGS.read_text("utf-8", "surrogateescape").splitlines():
        name, *fields = line.split()
        if not name.endswith(":"):  # addresses, permissions, offset, device, inode, path
            start, end = (int(address, 16) for address in name.split("-"))
            is_read_only = fields[0] in {"r--p", "r-xp"} and fields[3] != "0"
        elif name == "Anonymous:" and is_read_only and fields[0] == "0":
            yield start, end
