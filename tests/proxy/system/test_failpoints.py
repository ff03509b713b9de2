"""Failpoints: a process is killed or stopped at a named step, once, and only if it was started for that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, get_args

import pytest

from proxy.system.failpoints import ACTIONS, Point

if TYPE_CHECKING:
    from pathlib import Path

REACHES = """
import sys
from proxy.system.failpoints import reached
for words in sys.argv[1:]:
    point, _, key = words.partition(" ")
    reached(point, key)
    print(words, flush=True)
"""
"""A process that reaches points and prints each that it has passed."""


def start(*points: str, orders: Path | None = None) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "FAILPOINTS"}
    if orders:
        environment["FAILPOINTS"] = str(orders)
    return subprocess.Popen(
        [sys.executable, "-c", REACHES, *points], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_process_is_killed_at_the_point_that_is_ordered_and_at_no_other(tmp_path: Path) -> None:
    orders = tmp_path / "orders"
    orders.write_text("derivative-put kill")
    with start("job-enqueued", "derivative-put", "job-ended", orders=orders) as process:
        assert process.communicate(timeout=30)[0] == "job-enqueued\n"
    assert process.returncode == -signal.SIGKILL
    assert not orders.exists()


def test_an_order_for_one_original_is_not_carried_out_for_another(tmp_path: Path) -> None:
    orders = tmp_path / "orders"
    orders.write_text("derivative-put kill b c.jpg")
    passed = "derivative-put", "derivative-put a.jpg", "original-rendered b c.jpg"
    with start(*passed, "derivative-put b c.jpg", orders=orders) as process:
        assert process.communicate(timeout=30)[0].splitlines() == [*passed]
    assert process.returncode == -signal.SIGKILL
    assert not orders.exists()


def test_a_process_that_is_stopped_goes_on_when_it_is_continued(tmp_path: Path) -> None:
    orders = tmp_path / "orders"
    orders.write_text("job-ended stop")
    with start("job-ended", "job-ended", orders=orders) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=30)[0] == "job-ended\njob-ended\n"
    assert process.returncode == 0


@pytest.mark.parametrize("is_named", [True, False], ids=["no order", "no variable"])
def test_a_process_without_an_order_passes_every_point(tmp_path: Path, *, is_named: bool) -> None:
    points = get_args(Point)
    with start(*points, orders=tmp_path / "orders" if is_named else None) as process:
        assert process.communicate(timeout=30)[0].split() == list(points)
    assert process.returncode == 0


def test_only_signals_that_nothing_can_catch_are_sent() -> None:
    assert set(ACTIONS.values()) == {signal.SIGKILL, signal.SIGSTOP}
