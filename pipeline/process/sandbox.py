"""The resource limits of a process that opens originals, and its end with its parent."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

ADDRESS_BYTES = 3 << 30
"""Limit on the address space, far above what a request needs: it stops runaway allocations.

The parent process enforces the memory budget.
"""

FILE_BYTES = 256 << 20
"""Limit on the size of a written file; derivatives are about a thousandth of it."""

OPEN_FILES = 64

CPU_SECONDS = 120
"""CPU limit for one request, unless the parent passes another.

The service enforces the deadline; this limit ends a render if the service does not.
"""

_SET_PARENT_DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG` of `linux/prctl.h`."""


def limit_resources(cpu_seconds: int) -> None:
    """Limit this process to `cpu_seconds` of CPU time in all, and to the constants of this module."""
    for kind, most in (
        (resource.RLIMIT_AS, ADDRESS_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_seconds),
    ):
        resource.setrlimit(kind, (most, most))


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends. If `parent` has ended before, exit now."""
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
