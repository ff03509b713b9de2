"""System calls that Python does not offer, through the C library; a failed call raises its `OSError`."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

_SET_NO_NEW_PRIVILEGES: Final = 38
"""`PR_SET_NO_NEW_PRIVS` of `linux/prctl.h`."""


def call(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make the system call `number`, and return its result; buffers are passed by address.

    Raises:
        OSError: the kernel refused the call.
    """
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(number), *passed)
    return _checked(result)


def forbid_new_privileges() -> None:
    """Make set-user-id programs run without the rights of their owner, for this process and its children.

    The kernel requires this before an ordinary user may restrict itself.

    Raises:
        OSError: the kernel refused; none since Linux 3.5 does.
    """
    zero = ctypes.c_ulong(0)
    _checked(_LIBC.prctl(_SET_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), zero, zero, zero))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
