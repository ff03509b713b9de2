"""Protection of this process's memory and environment from other processes of its user."""

from __future__ import annotations

import sys
from contextlib import suppress

_SET_DUMPABLE = 4
"""`PR_SET_DUMPABLE` of `linux/prctl.h`."""


def forbid_inspection() -> None:
    """Close the memory and the environment of this process to its own user.

    This applies to `/proc/<pid>/environ`, `/proc/<pid>/mem` and ptrace, and no core dump is written.

    Otherwise, a render process that an original has taken over could read the secrets of the service, because it runs
    as the same user. Processes that this one starts are not affected, because exec resets the flag. Root can still
    inspect the process. Without effect on other systems than Linux.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - only the service needs it, no other command

    with suppress(OSError, AttributeError):  # a C library without prctl
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
