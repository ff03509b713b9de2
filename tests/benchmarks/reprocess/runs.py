"""Runs of the command, each timed, bounded in memory, killed if it is to be."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadtest.servers.fence import fenced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadtest.servers.fence import Fence

ROOT = Path(__file__).parents[3]
LOOK_SECONDS = 0.25


class _Told(msgspec.Struct, kw_only=True):
    """What is read of an event."""

    event: str
    key: str = ""
    result: str = ""
    rendered: int = 0
    fresh: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one run, with all its starts, came to."""

    seconds: float
    cpu_seconds: float
    """Processor time of all its processes; that of render processes whose run was killed is not in it."""
    made: int
    fresh: int
    failed: int
    twice: int
    """Originals that a later start made again although an earlier one had told that they were over."""
    starts: int
    peak_bytes: int
    oom_kills: int
    how: str

    @property
    def originals(self) -> int:
        """How many were seen to."""
        return self.made + self.fresh + self.failed

    @property
    def per_second(self) -> float:
        """How many a second."""
        return self.originals / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A folder for what the runs need, the settings that say where the store is, the bound on memory."""

    folder: Path
    settings: Mapping[str, str]
    limit_bytes: int
    workers: int

    def run(self, *words: str, kill_after: int = 0, kills: int = 0) -> Ran:
        """Run to the end; kill it `kills` times on the way, each after so many originals."""
        told: list[str] = []
        with fenced(self.limit_bytes) as fence:
            began, timings = time.perf_counter(), _cpu_seconds()
            for _ in range(kills):
                told += self._start(fence, words, kill_after=kill_after)[0]
            last, ended = self._start(fence, words, kill_after=0)
            seconds = time.perf_counter() - began
        if not ended.event:
            raise RuntimeError("A run ended before it could sum up; what it said stands above.")
        told += last
        return Ran(
            seconds=seconds,
            cpu_seconds=_cpu_seconds() - timings,
            made=ended.rendered,
            fresh=ended.fresh,
            failed=ended.failed,
            twice=len(told) - len(set(told)),
            starts=kills + 1,
            peak_bytes=fence.peak_bytes,
            oom_kills=fence.oom_kills,
            how=fence.described,
        )

    def _start(self, fence: Fence, words: tuple[str, ...], *, kill_after: int) -> tuple[list[str], _Told]:
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.folder / "tmp"),
            **self.settings,
        }
        command = [sys.executable, "-m", "proxy", "reprocess", "--json", "--workers", str(self.workers), *words]
        told: list[str] = []
        ended = _Told(event="")
        with subprocess.Popen(
            [*fence.entry, *command], env=environment, cwd=self.folder, stdout=subprocess.PIPE
        ) as process:
            out, looked = process.stdout, 0.0
            while out and (line := out.readline()).endswith(b"\n"):
                event = msgspec.json.decode(line, type=_Told)
                ended = event if event.event == "ended" else ended
                told += [event.key] * (event.result == "rendered")
                if time.monotonic() - looked > LOOK_SECONDS:
                    looked = time.monotonic()
                    fence.look(process.pid)
                if kill_after and len(told) >= kill_after:
                    process.kill()
                    kill_after = 0
        return told, ended


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
