"""A process that answers questions within limits of its own: one on each line of its input, until there are no more."""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.protocol import Ready

Q = TypeVar("Q")
A = TypeVar("A", bound=msgspec.Struct)

ADDRESS_BYTES = 3 << 30
"""Far above what a question takes: it stops what runs away. The budget of memory is the parent's to keep."""

FILE_BYTES = 256 << 20
"""The largest file it may write; derivatives are a thousandth of it."""

OPEN_FILES = 64
CPU_SECONDS = 120
"""For one question, unless the parent says another number. The deadline is the parent's; this ends a render whose
parent is gone."""


def answer_all(read: Callable[[bytes], Q], answer: Callable[[Q], A], *, get_ready: Callable[[], Ready]) -> None:
    """Answer every question of standard input; the first argument is the CPU seconds that each may take.

    What goes wrong that is not the original's fault ends the process with a trace: the parent starts another, which
    is cheaper than to go on with a library in an unknown state.
    """
    answers = _claim_stdout()
    _limit_itself()
    _say(answers, get_ready())
    seconds = int(sys.argv[1]) if sys.argv[1:] else CPU_SECONDS
    for line in sys.stdin.buffer:
        question = read(line)
        _allow_cpu_seconds(seconds)
        _say(answers, answer(question))


def _claim_stdout() -> BinaryIO:
    """Keep standard output for answers: whatever else in this process prints to it lands on standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _limit_itself() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, ADDRESS_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _allow_cpu_seconds(seconds: int) -> None:
    """Let the process use that much more; the kernel ends it when it is used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))


def _say(answers: BinaryIO, answer: msgspec.Struct) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()
