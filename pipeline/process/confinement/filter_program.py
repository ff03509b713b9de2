"""A filter of system calls, as instructions of the kernel's BPF machine.

Source: https://docs.kernel.org/userspace-api/seccomp_filter.html. Instructions see the number and the arguments of a
call, but not the memory that an argument points to.
"""

from __future__ import annotations

import errno
import struct
from itertools import chain
from typing import TYPE_CHECKING, Final

from pipeline.process.confinement.syscalls import ABSENT, ALLOWED, CHECKED, KILLED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.process.confinement.syscalls import Architecture, Numbers

ALLOW: Final = 0x7FFF0000
KILL: Final = 0x80000000
"""`SECCOMP_RET_ALLOW` and `SECCOMP_RET_KILL_PROCESS`: all threads, by SIGSYS."""

_ERRNO: Final = 0x00050000
"""`SECCOMP_RET_ERRNO`, to which an error number is added."""

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Positions in `struct seccomp_data`, in bytes."""

AUDIT_NAMES: Final = {"x86_64": 0xC000003E, "arm64": 0xC00000B7}
"""`AUDIT_ARCH_X86_64` and `AUDIT_ARCH_AARCH64`."""

_X32: Final = 0x40000000
"""Set in the number of a call of the x32 ABI, which shares the audit name of x86-64."""

_THREAD: Final = 0x003D0F00
"""The flags with which glibc starts a thread; musl adds `_DETACHED`, which means nothing any more."""
_DETACHED: Final = 0x00400000

_FCNTL: Final = (0, 1, 2, 3, 1030)
"""`F_DUPFD`, `F_GETFD`, `F_SETFD`, `F_GETFL`, `F_DUPFD_CLOEXEC`. `F_SETOWN` would let another process get a signal."""

_TCGETS: Final = 0x5401
_PROT_EXEC: Final = 4
_PR_SET_NAME: Final = 15


Instruction = tuple[int, int, int, int]
"""A `struct sock_filter`: code, how many instructions to skip if a test is true or if it is false, constant."""


def packed(program: list[Instruction]) -> bytes:
    """Return a program as the kernel reads it."""
    return struct.pack("HBBI" * len(program), *chain.from_iterable(program))


def filter_program(architecture: Architecture, *, pid: int) -> list[Instruction]:
    """Return the filter of the process `pid`: unlisted calls fail with EPERM, those of an attack kill it."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        *_unless_equal((AUDIT_NAMES[architecture],), _return(KILL)),
        (_LOAD, 0, 0, _NUMBER),
        *_if_set(_X32, _return(KILL)),
        *_for_calls(ALLOWED, architecture, _return(ALLOW)),
        *chain.from_iterable(
            _for_calls({name: CHECKED[name]}, architecture, condition) for name, condition in _conditions(pid).items()
        ),
        *_for_calls(ABSENT, architecture, _fail(errno.ENOSYS)),
        *_for_calls(KILLED, architecture, _return(KILL)),
        *_fail(errno.EPERM),
    ]


def _conditions(pid: int) -> dict[str, list[Instruction]]:
    """Return what decides about each call of `CHECKED`, by its name."""
    executable = [*_argument(2), *_if_set(_PROT_EXEC, _fail(errno.EPERM)), *_return(ALLOW)]
    get_limit = [
        *(_argument(0) + _unless_equal((0,), _fail(errno.EPERM))),
        *(_argument(2) + _unless_equal((0,), _fail(errno.EPERM))),
        *(_argument(2, half=1) + _unless_equal((0,), _fail(errno.EPERM))),
        *_return(ALLOW),
    ]
    return {
        "clone": [*_argument(0), *_unless_equal((_THREAD, _THREAD | _DETACHED), _return(KILL)), *_return(ALLOW)],
        "fcntl": [*_argument(1), *_unless_equal(_FCNTL, _fail(errno.EPERM)), *_return(ALLOW)],
        "ioctl": [*_argument(1), *_unless_equal((_TCGETS,), _fail(errno.ENOTTY)), *_return(ALLOW)],
        "mmap": executable,
        "mprotect": executable,
        "prctl": [*_argument(0), *_unless_equal((_PR_SET_NAME,), _fail(errno.EPERM)), *_return(ALLOW)],
        "prlimit64": get_limit,
        "tgkill": [*_argument(0), *_unless_equal((pid,), _return(KILL)), *_return(ALLOW)],
    }


def _for_calls(calls: Mapping[str, Numbers], architecture: Architecture, then: list[Instruction]) -> list[Instruction]:
    numbers = [one.on(architecture) for one in calls.values()]
    return list(chain.from_iterable(_if_equal(number, then) for number in numbers if number is not None))


def _argument(position: int, *, half: int = 0) -> list[Instruction]:
    """Load an argument: its lower 32 bits, or with `half=1` the upper ones."""
    return [(_LOAD, 0, 0, _ARGUMENTS + 8 * position + 4 * half)]


def _if_equal(value: int, then: list[Instruction]) -> list[Instruction]:
    return [(_JUMP_IF_EQUAL, 0, len(then), value), *then]


def _if_set(bits: int, then: list[Instruction]) -> list[Instruction]:
    return [(_JUMP_IF_SET, 0, len(then), bits), *then]


def _unless_equal(values: tuple[int, ...], then: list[Instruction]) -> list[Instruction]:
    """Continue after `then` if any of the values is loaded; each test knows how many instructions follow it."""
    last = len(values) + len(then) - 1
    tests = [(_JUMP_IF_EQUAL, last - position, 0, value) for position, value in enumerate(values)]
    return [*tests, *then]


def _fail(code: int) -> list[Instruction]:
    return _return(_ERRNO | code)


def _return(verdict: int) -> list[Instruction]:
    return [(_RETURN, 0, 0, verdict)]
