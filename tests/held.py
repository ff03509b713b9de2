"""What this process holds, and what it may: a test that takes stock sees what was not given back."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def descriptors() -> int:
    """Count this process's open files and sockets."""
    return len([*Path("/proc/self/fd").iterdir()])


def resident_bytes(pid: int | None = None) -> int:
    """Tell how much memory a process has in use, this one or another."""
    return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def no_file_above(most_bytes: int) -> Iterator[None]:
    """Let no file grow past that within the block, as a full disk would; the error is another one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def flushes() -> Iterator[list[Path]]:
    """Yield the list of the files and folders that this process flushes to disk within the block."""
    paths: list[Path] = []
    flush = os.fsync

    def record(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        flush(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", record)
        yield paths
