"""No test leaves a process behind unnoticed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

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


@pytest.fixture
def census() -> Census:
    """What takes all that are there for shared ones."""
    return Census(shared={*children()})


def test_a_process_that_a_test_leaves_is_found(census: Census) -> None:
    with child("left") as left:
        assert {pid: command.split()[-1] for pid, command in census.left(grace_seconds=0).items()} == {left.pid: "left"}
    assert census.left() == {}


def test_what_fixtures_share_is_no_fault_of_a_test(census: Census) -> None:
    with child() as shared:
        census.shared |= {shared.pid}
        assert census.left(grace_seconds=0) == {}


def test_a_process_that_goes_in_time_is_no_fault_of_a_test(census: Census) -> None:
    with child() as goes:
        assert goes.stdin is not None
        goes.stdin.close()
        assert census.left() == {}


def test_a_process_that_was_killed_and_not_waited_for_is_gone(census: Census) -> None:
    with child() as killed:
        killed.kill()
        assert census.left() == {}


def test_what_renders_for_several_tests_is_to_be_gone_after_the_last(census: Census) -> None:
    with child("pipeline.process.render_server") as renders:
        assert census.left(renders=False, grace_seconds=0) == {}
        assert {*census.left(grace_seconds=0)} == {renders.pid}
