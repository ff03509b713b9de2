"""A child process with a stopwatch on it: what each of its answers cost in time, in processor time and in memory."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROCESS_CLOCK = 2
"""Linux' CPUCLOCK_SCHED: all threads of a process, those that ended too, in nanoseconds."""

MEGABYTE = 1 << 20


class Ended(Exception):
    """The child ended instead of answering; what it said on standard error is on ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one answer cost."""

    cpu_seconds: float
    wall_seconds: float


class Child:
    """A program that says one line when it is ready, then answers every line with one; killed at the end of a `with`.

    Every program is measured from outside in the same way, whatever it is written in.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str]) -> None:
        began = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **environment},
        )
        self._line()
        self.start_seconds = time.perf_counter() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, question: bytes) -> tuple[bytes, Cost]:
        """Ask one line, and give the answer with its cost.

        Raises:
            Ended: there is no answer.
        """
        assert self._process.stdin
        cpu, wall = self._cpu_seconds(), time.perf_counter()
        self._process.stdin.write(question + b"\n")
        self._process.stdin.flush()
        answer = self._line()
        return answer, Cost(cpu_seconds=self._cpu_seconds() - cpu, wall_seconds=time.perf_counter() - wall)

    def peak_bytes(self) -> int:
        """Tell the most memory the process has held: `ru_maxrss` would tell the parent's, if that is more."""
        return self._memory("VmHWM")

    def resident_bytes(self) -> int:
        """Tell the memory that the process holds now."""
        return self._memory("VmRSS")

    def _line(self) -> bytes:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise Ended(f"{self._process.args!r} ended without an answer")
        return line

    def _cpu_seconds(self) -> float:
        return time.clock_gettime(~self._process.pid << 3 | _PROCESS_CLOCK)

    def _memory(self, field: str) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith(f"{field}:"))
        return int(kilobytes) * 1024
