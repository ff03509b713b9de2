"""Kernels that lack a part of the sandbox: a filter lets its system call fail, as such a kernel would."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING

from pipeline.process.confinement import kernel
from pipeline.process.confinement.filter_program import ALLOW, packed
from pipeline.process.confinement.syscalls import SECCOMP

if TYPE_CHECKING:
    from pipeline.process.confinement.syscalls import Architecture

ARCHITECTURE: Architecture = "x86_64" if os.uname().machine == "x86_64" else "arm64"
LOAD, JUMP_IF_EQUAL, RETURN, FAIL = 0x20, 0x15, 0x06, 0x00050000
SET_FILTER = 1


def fail_calls(number: int, code: int) -> None:
    """Let one system call of this process, and of all that it starts, fail with an error number from now on."""
    kernel.forbid_new_privileges()
    program = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, FAIL | code), (RETURN, 0, 0, ALLOW)]
    code_bytes = packed(program)
    buffer = ctypes.create_string_buffer(code_bytes, len(code_bytes))
    kernel.call(SECCOMP[ARCHITECTURE], SET_FILTER, 0, struct.pack("HP", len(program), ctypes.addressof(buffer)))
