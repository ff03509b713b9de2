"""`make demo`, as a person runs it."""

from __future__ import annotations

import re
import subprocess
import sys


def test_it_paints_a_photograph_and_shows_four_derivatives() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "loadtest.demo"], capture_output=True, text=True, check=False, timeout=100
    )
    assert shown.returncode == 0, shown.stderr
    rows = re.findall(r"(small|medium|large|xlarge).*?(\d+) x (\d+)", shown.stdout)
    assert rows == [
        ("small", "300", "225"),
        ("medium", "800", "600"),
        ("large", "1200", "900"),
        ("xlarge", "2000", "1500"),
    ]


def test_a_photograph_that_is_not_there_is_said_in_a_sentence() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "loadtest.demo", "--photo", "nowhere.jpg"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 2
    assert "nowhere.jpg" in shown.stderr
