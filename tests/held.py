"""What this process holds: a test that takes stock before and after sees what was not given back."""

from __future__ import annotations

import os
from pathlib import Path


def descriptors() -> int:
    """Count this process's open files and sockets."""
    return len([*Path("/proc/self/fd").iterdir()])


def resident_bytes(pid: int | None = None) -> int:
    """Tell how much memory a process has in use, this one or another."""
    return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
