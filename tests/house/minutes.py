"""How long the last test run took, from the JUnit file that `make test` leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from pathlib import Path

RESULTS = "build/tests.xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """A test run: how many tests, how long it took, which test took longest."""

    __test__ = False  # no test itself, whatever pytest makes of its name

    tests: int
    minutes: float
    slowest: str
    slowest_seconds: float


def read_test_run(root: Path) -> TestRun | None:
    """Return the last test run of a checkout; None where it left no results."""
    path = root / RESULTS
    if not path.exists():
        return None
    suites = [*ET.parse(path).getroot().iter("testsuite")]  # noqa: S314 - our own test run wrote it
    cases = [case for suite in suites for case in suite.iter("testcase")]
    slowest = max(cases, key=_seconds, default=None)
    return TestRun(
        tests=len(cases),
        minutes=sum(map(_seconds, suites)) / 60,
        slowest="" if slowest is None else f"{slowest.get('classname')}.{slowest.get('name')}",
        slowest_seconds=0.0 if slowest is None else _seconds(slowest),
    )


def _seconds(element: ET.Element) -> float:
    return float(element.get("time", "0"))
