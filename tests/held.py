"""What this process holds: a test that takes stock before and after sees what was not given back."""

from __future__ import annotations

import os
from pathlib import Path


def descriptors() -> int:
    """Count this process's open files and sockets."""
    return len([*Path("/proc/self/fd").iterdir()])


def resident_bytes() -> int:
    """Tell how much memory this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
