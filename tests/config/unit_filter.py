"""Run a program under the system calls, address families and memory rules that a systemd unit leaves it.

    python unit_filter.py UNIT PROGRAM ARGUMENT...

systemd itself is not needed to run, only `systemd-analyze` for the members of its groups, and libseccomp, which it
brings, for the numbers of system calls. What a unit forbids fails with EPERM, as with SystemCallErrorNumber=EPERM.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import subprocess
import sys
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _FIRST_ARGUMENT = 0, 16
_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER, _SET_MDWE = 38, 22, 2, 65

Instruction = tuple[int, int, int, int]


def settings(unit: Path) -> dict[str, list[str]]:
    """Return the values of each setting of a unit, in order."""
    told: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            told.setdefault(name, []).append(value)
    return told


def allowed(lines: list[str]) -> set[str]:
    """Return the names of the system calls that lines of SystemCallFilter leave: the first line is a list of these."""
    names: set[str] = set()
    for line in lines:
        members = set(chain.from_iterable(_members(word) for word in line.removeprefix("~").split()))
        names = names - members if line.startswith("~") else names | members
    return names | _members("@default")  # systemd always adds these


def _members(word: str) -> set[str]:
    """Return a system call, or those of a group and of the groups in it."""
    if not word.startswith("@"):
        return {word}
    return set(chain.from_iterable(_members(one) for one in _groups()[word]))


@cache
def _groups() -> dict[str, list[str]]:
    """Return the groups of this systemd: unindented lines begin one, lines with `#` describe it."""
    groups: dict[str, list[str]] = {}
    name = ""
    for line in subprocess.check_output(["systemd-analyze", "syscall-filter"], text=True).splitlines():
        if line.startswith("@"):
            groups[name := line.strip()] = []
        elif name and line.startswith(" ") and not line.strip().startswith("#"):
            groups[name].append(line.strip())
        elif line.startswith("#"):
            name = ""  # what follows is in no group
    return groups


def filter_program(names: set[str], families: list[int]) -> list[Instruction]:
    """Return the filter: sockets of other families fail as unknown ones do, other calls with EPERM."""
    library = ctypes.CDLL("libseccomp.so.2")
    numbers = {name: library.seccomp_syscall_resolve_name(name.encode()) for name in sorted(names)}
    socket_call = numbers.pop("socket")
    return [
        (_LOAD, 0, 0, _NUMBER),
        *chain.from_iterable(_if(number, _ALLOW) for number in numbers.values() if number >= 0),
        (_JUMP_IF_EQUAL, 1, 0, socket_call),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        *chain.from_iterable(_if(family, _ALLOW) for family in families),
        (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT),
    ]


def _if(value: int, verdict: int) -> list[Instruction]:
    return [(_JUMP_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, verdict)]


def put_in_force(unit: Path) -> None:
    """Restrict this process, and what it starts, for the rest of their lives.

    Raises:
        OSError: the kernel refused.
    """
    told = settings(unit)
    families = [getattr(socket, name) for name in told["RestrictAddressFamilies"][0].split()]
    program = filter_program(allowed(told["SystemCallFilter"]), families)
    code = ctypes.create_string_buffer(struct.pack("HBBI" * len(program), *chain.from_iterable(program)))
    described = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    _prctl(_SET_NO_NEW_PRIVILEGES, 1)
    if told.get("MemoryDenyWriteExecute") == ["yes"] and KERNEL >= (6, 3):  # before, the kernel has no such rule
        _prctl(_SET_MDWE, 1)
    _prctl(_SET_SECCOMP, _FILTER, ctypes.addressof(described))


KERNEL: Final = tuple(int(part) for part in os.uname().release.split(".")[:2])


def _prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *words):
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    put_in_force(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the program that it is asked to run
