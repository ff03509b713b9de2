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
RENDER_WORKER = "pipeline.process.render_server"


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
    """Tells the children of fixtures that outlive a test from those of a test."""

    shared: set[int] = field(default_factory=set)
    """Those of fixtures of a module or of the session, which end them."""

    def left(self, *, renders: bool = True, grace_seconds: float = GRACE_SECONDS) -> dict[int, str]:
        """Return the processes that tests started and did not end; wait a little for them to go.

        Without `renders`, those that render may stay: a pool that tests share starts them in whichever test asks.
        """
        deadline = time.monotonic() + grace_seconds
        while (left := self._strangers(renders=renders)) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_SECONDS)
        return left

    def _strangers(self, *, renders: bool) -> dict[int, str]:
        return {
            pid: command
            for pid, command in children().items()
            if pid not in self.shared and (renders or RENDER_WORKER not in command)
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
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
        """Fail a test that leaves a process behind, once its fixtures are torn down; end that process."""
        yield
        is_last = nextitem is None or nextitem.path != item.path  # what the module shares is torn down too
        if left := self.census.left(renders=is_last):
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"Processes are left behind: {[*left.values()]}", pytrace=False)
