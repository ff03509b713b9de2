"""Seccomp: the system calls that this process may still make, by a filter that it cannot lift again."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from pipeline.process.confinement import kernel
from pipeline.process.confinement.filter_program import KILL, filter_program, packed
from pipeline.process.confinement.syscalls import SECCOMP

if TYPE_CHECKING:
    from pipeline.process.confinement.syscalls import Architecture

_ARCHITECTURES: Final[dict[str, Architecture]] = {"x86_64": "x86_64", "aarch64": "arm64"}
"""By the kernel's name of the machine."""

_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_ALL_THREADS: Final = 1
"""`SECCOMP_FILTER_FLAG_TSYNC`."""


def filter_calls() -> None:
    """Give up all system calls but those of the policy, in every thread; see `filter_program`.

    Raises:
        OSError: the machine has another architecture (ENOSYS), or the kernel lacks seccomp or forbids it.
    """
    architecture = _ARCHITECTURES.get(os.uname().machine)
    if architecture is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    number = SECCOMP[architecture]
    kernel.call(number, _GET_ACTION_AVAIL, 0, struct.pack("I", KILL))  # fails before Linux 4.14
    program = filter_program(architecture, pid=os.getpid())
    code = ctypes.create_string_buffer(packed(program))
    described = struct.pack("HP", len(program), ctypes.addressof(code))
    if kernel.call(number, _SET_MODE_FILTER, _ALL_THREADS, described):  # the number of a thread with another filter
        raise OSError(errno.EPERM, "A thread has a filter of its own.")
