"""The processes that this one started: a test leaves none behind."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

GRACE_SECONDS = 5.0
"""How long a process that was killed may take to go."""

LOOK_EVERY_SECONDS = 0.01
RENDER_WORKER = "pipeline.process.render_worker"


def children() -> dict[int, str]:
    """Return the living children of this process: their commands by their ids."""
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for task in tasks for pid in _read(task).split()]
    return {pid: _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ").strip() for pid in pids if _lives(pid)}


def _lives(pid: int) -> bool:
    """Return whether a process runs: one that has ended, and was not waited for, does not."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return bool(fields) and fields[0] != "Z"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


@dataclass
class Census:
    """Whose children the living ones are: of a fixture that outlives a test, or of a test."""

    shared: set[int] = field(default_factory=set)
    """Those of fixtures of a module or of the session, which end them."""
    known: set[int] = field(default_factory=set)
    """Those that were there before the test."""

    def left(self, *, grace_seconds: float = GRACE_SECONDS) -> dict[int, str]:
        """Return the processes that a test started and did not end; wait a little for them to go."""
        deadline = time.monotonic() + grace_seconds
        while (left := self._strangers()) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_SECONDS)
        self.known |= {*left}
        return left

    def _strangers(self) -> dict[int, str]:
        there = children()
        own = self.shared | self.known
        # A pool that tests share starts its processes when they are asked for, in whichever test that is.
        is_shared = any(RENDER_WORKER in command for pid, command in there.items() if pid in self.shared)
        return {
            pid: command
            for pid, command in there.items()
            if pid not in own and not (is_shared and RENDER_WORKER in command)
        }


@dataclass(eq=False)
class Watch:
    """A plugin, as fixtures of the whole session are set up past the hooks of a folder's `conftest.py`."""

    census: Census = field(default_factory=Census)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        """Note the processes that a fixture starts for more than one test."""
        if fixturedef.scope == "function":
            return (yield)
        before = {*children()}
        try:
            return (yield)
        finally:
            self.census.shared |= {*children()} - before

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Know the processes that were there before a test."""
        self.census.known = {*children()}
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """Fail a test that leaves a process behind, once its fixtures are torn down; end that process."""
        yield
        if left := self.census.left():
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"It left processes behind: {[*left.values()]}", pytrace=False)
