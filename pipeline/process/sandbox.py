"""The request loop of a process that limits its own resources: requests on stdin, responses on stdout."""

from __future__ import annotations

import os
import resource
import sys
import traceback
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import msgspec

from pipeline.protocol import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.protocol import Ready

Q = TypeVar("Q")
A = TypeVar("A", bound=msgspec.Struct)

ADDRESS_BYTES = 3 << 30
"""Limit on the address space, far above what a request needs: it stops runaway allocations.

The parent process enforces the memory budget.
"""

FILE_BYTES = 256 << 20
"""Limit on the size of a written file; derivatives are about a thousandth of it."""

OPEN_FILES = 64

TRACE_CHARACTERS = 8_000
"""The end of a traceback that is passed on: it holds the exception and the innermost calls."""

CPU_SECONDS = 120
"""CPU limit for one request, unless the parent passes another.

The parent enforces the deadline; this limit ends a render whose parent has exited.
"""


def serve(read: Callable[[bytes], Q], answer: Callable[[Q], A], *, get_ready: Callable[[], Ready]) -> None:
    """Answer every request on stdin; `sys.argv[1]`, if present, is the CPU limit per request in seconds.

    Any exception from `answer` is answered with a `Fault`: it is a defect of our code or of the machine, and must not
    look like the death of a decoder. A request that cannot be read ends the process.
    """
    answers = _reserve_stdout()
    _set_resource_limits()
    _send(answers, get_ready())
    seconds = int(sys.argv[1]) if sys.argv[1:] else CPU_SECONDS
    for line in sys.stdin.buffer:
        question = read(line)
        _allow_cpu_seconds(seconds)
        _send(answers, _answer_or_fault(answer, question))


def _answer_or_fault(answer: Callable[[Q], A], question: Q) -> A | Fault:
    try:
        return answer(question)
    except Exception:  # noqa: BLE001 - the outermost loop: the parent logs the trace, and replaces this process
        return Fault(trace=traceback.format_exc()[-TRACE_CHARACTERS:])


def _reserve_stdout() -> BinaryIO:
    """Return a stream to the original stdout, and redirect everything else printed there to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _set_resource_limits() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, ADDRESS_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _allow_cpu_seconds(seconds: int) -> None:
    """Allow the process `seconds` more of CPU time; the kernel ends it when they are used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))


def _send(answers: BinaryIO, answer: msgspec.Struct) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()
