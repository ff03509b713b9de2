"""No test leaves a process behind unnoticed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.children import Census, children

if TYPE_CHECKING:
    from collections.abc import Iterator

LIVES = "print(flush=True); input()"


@contextmanager
def child(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have a child of these words live within the block."""
    command = [sys.executable, "-c", LIVES, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_a_process_that_a_test_leaves_is_found_once() -> None:
    census = Census(known={*children()})
    with child("left") as left:
        assert {pid: command.split()[-1] for pid, command in census.left(grace_seconds=0).items()} == {left.pid: "left"}
        assert census.left(grace_seconds=0) == {}


def test_what_fixtures_share_is_no_fault_of_a_test() -> None:
    census = Census(known={*children()})
    with child() as shared:
        census.shared |= {shared.pid}
        assert census.left(grace_seconds=0) == {}


def test_a_process_that_goes_in_time_is_no_fault_of_a_test() -> None:
    census = Census(known={*children()})
    with child() as goes:
        assert goes.stdin is not None
        goes.stdin.close()
        assert census.left() == {}


def test_a_process_that_was_killed_and_not_waited_for_is_gone() -> None:
    census = Census(known={*children()})
    with child() as killed:
        killed.kill()
        assert census.left() == {}


def test_the_processes_of_a_pool_that_is_shared_may_be_started_by_any_test() -> None:
    known = {*children()}
    with child("pipeline.process.render_worker") as first, child("pipeline.process.render_worker") as second:
        assert {*Census(known=known).left(grace_seconds=0)} == {first.pid, second.pid}
        assert Census(known=known, shared={first.pid}).left(grace_seconds=0) == {}
