"""The filter of system calls, run by an interpreter of its instructions, for both architectures."""

from __future__ import annotations

import errno
import mmap
import re
import resource
import signal
import struct
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from pipeline.process.confinement.filter_program import ALLOW, AUDIT_NAMES, KILL, filter_program, packed
from pipeline.process.confinement.syscalls import ABSENT, ALLOWED, CHECKED, KILLED, Architecture, Numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

PID = 4242
FAILS = 0x00050000
EPERM, ENOSYS, ENOTTY = (FAILS | code for code in (errno.EPERM, errno.ENOSYS, errno.ENOTTY))
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
I386, ARM = 0x40000003, 0x40000028
"""`AUDIT_ARCH_I386` and `AUDIT_ARCH_ARM`: what a 64-bit process may enter as well."""

LOAD, JUMP_IF_EQUAL, JUMP_IF_SET, RETURN = 0x20, 0x15, 0x45, 0x06
LONGEST = 4096
"""`BPF_MAXINSNS`: instructions of one filter."""

THREAD = 0x3D0F00
"""What glibc passes to `clone` for a thread, and musl with one more flag."""
MUSL_THREAD = 0x7D0F00
FORK = int(signal.SIGCHLD)
NEW_NAMESPACE = 0x10000000
UPPER_HALF = 1 << 32
SET_NO_NEW_PRIVILEGES, SET_DUMPABLE, SET_NAME, SET_SECCOMP = 38, 4, 15, 22
TCGETS, TIOCSTI = 0x5401, 0x5412
DUPLICATE_CLOSED_ON_EXEC, SET_FLAGS, SET_OWNER, SET_LEASE, NOTIFY = 1030, 4, 8, 1024, 1026


def verdict(architecture: Architecture, number: int, *arguments: int, audit_name: int | None = None) -> int:
    """Run the filter on one call, as `net/core/filter.c` of Linux would."""
    name = AUDIT_NAMES[architecture] if audit_name is None else audit_name
    data = struct.pack("<IIQ6Q", number, name, 0, *arguments, *([0] * (6 - len(arguments))))
    program = list(struct.iter_unpack("HBBI", packed(filter_program(architecture, pid=PID))))
    assert len(program) < LONGEST
    loaded, position = 0, 0
    while True:
        code, if_true, if_false, constant = program[position]
        position += 1
        if code == LOAD:
            (loaded,) = struct.unpack_from("<I", data, constant)
        elif code == RETURN:
            return int(constant)
        else:
            is_true = loaded == constant if code == JUMP_IF_EQUAL else bool(loaded & constant)
            assert code in {JUMP_IF_EQUAL, JUMP_IF_SET}
            position += if_true if is_true else if_false


def numbers(table: dict[str, Numbers], architecture: Architecture) -> Iterator[int]:
    return (number for one in table.values() if (number := one.on(architecture)) is not None)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_listed_calls_are_allowed_fail_or_kill_and_all_others_fail(architecture: Architecture) -> None:
    assert {verdict(architecture, number) for number in numbers(ALLOWED, architecture)} == {ALLOW}
    assert {verdict(architecture, number) for number in numbers(ABSENT, architecture)} == {ENOSYS}
    assert {verdict(architecture, number) for number in numbers(KILLED, architecture)} == {KILL}
    listed = {number for table in (ALLOWED, ABSENT, KILLED, CHECKED) for number in numbers(table, architecture)}
    assert {verdict(architecture, number) for number in range(600) if number not in listed} == {EPERM}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (THREAD,), ALLOW),
        ("clone", (MUSL_THREAD,), ALLOW),
        ("clone", (FORK,), KILL),
        ("clone", (THREAD | NEW_NAMESPACE,), KILL),
        ("clone", (0,), KILL),
        ("fcntl", (3, DUPLICATE_CLOSED_ON_EXEC), ALLOW),
        ("fcntl", (3, SET_FLAGS), EPERM),
        ("fcntl", (3, SET_OWNER), EPERM),
        ("fcntl", (3, SET_LEASE), EPERM),
        ("fcntl", (3, NOTIFY), EPERM),
        ("ioctl", (0, TCGETS), ALLOW),
        ("ioctl", (0, TIOCSTI), ENOTTY),
        ("mmap", (0, 4096, mmap.PROT_READ | mmap.PROT_WRITE), ALLOW),
        ("mmap", (0, 4096, mmap.PROT_READ | mmap.PROT_EXEC), EPERM),
        ("mprotect", (0, 4096, mmap.PROT_WRITE), ALLOW),
        ("mprotect", (0, 4096, mmap.PROT_EXEC), EPERM),
        ("prctl", (SET_NAME,), ALLOW),
        ("prctl", (SET_NO_NEW_PRIVILEGES,), EPERM),
        ("prctl", (SET_DUMPABLE,), EPERM),
        ("prctl", (SET_SECCOMP,), EPERM),
        ("prlimit64", (0, resource.RLIMIT_NOFILE, 0), ALLOW),
        ("prlimit64", (0, resource.RLIMIT_NOFILE, 0x1000), EPERM),
        ("prlimit64", (0, resource.RLIMIT_NOFILE, UPPER_HALF), EPERM),
        ("prlimit64", (PID, resource.RLIMIT_NOFILE, 0), EPERM),
        ("tgkill", (PID, PID, signal.SIGABRT), ALLOW),
        ("tgkill", (PID - 1, PID - 1, signal.SIGKILL), KILL),
    ],
)
def test_arguments_decide_about_some_calls(
    architecture: Architecture, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    number = CHECKED[name].on(architecture)
    assert number is not None
    assert verdict(architecture, number, *arguments) == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("audit_name", [I386, ARM, 0])
def test_calls_of_another_architecture_kill(architecture: Architecture, audit_name: int) -> None:
    assert verdict(architecture, 20, audit_name=audit_name) == KILL


def test_calls_of_the_x32_abi_kill() -> None:
    assert {verdict("x86_64", 0x40000000 | number) for number in numbers(ALLOWED, "x86_64")} == {KILL}


def test_no_call_stands_in_two_tables() -> None:
    names = [name for table in (ALLOWED, ABSENT, KILLED, CHECKED) for name in table]
    assert len(names) == len(set(names))


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "arm64": Path("/usr/include/asm-generic/unistd.h"),
}
SAME_NUMBER = {"newfstatat": "3264_fstatat", "fcntl": "3264_fcntl", "mmap": "3264_mmap"} | {
    name: f"3264_{name}" for name in ("fstat", "lseek", "ftruncate", "fadvise64")
}
"""How the header that all architectures share calls what has other names on 32 bits."""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.skipif(not all(path.exists() for path in HEADERS.values()), reason="needs linux-libc-dev for x86-64")
def test_numbers_are_those_of_the_kernel_headers(architecture: Architecture) -> None:
    text = HEADERS[architecture].read_text(encoding="utf-8")
    known = {name: int(number) for name, number in re.findall(r"#define __NR_?(\w+)\s+(\d+)", text)}
    for table in (ALLOWED, ABSENT, KILLED, CHECKED):
        for name, entry in table.items():
            their_name = SAME_NUMBER.get(name, name) if architecture == "arm64" else name
            assert entry.on(architecture) == known.get(their_name), name
