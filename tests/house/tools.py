"""What pylint and vulture find in a checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import msgspec
from vulture import Vulture

from tests.house.tree import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TWIN_LINES = 10
"""A block of so many lines that stands twice is a twin. Imports, docstrings, comments and signatures do not count."""

_PLACE = re.compile(r"^==([\w.]+):\[(\d+):(\d+)\]$", re.MULTILINE)


class ToolFailed(Exception):
    """A tool did not come to a result; `str()` has what it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """A name that nothing in the packages uses; `place` is file and line."""

    name: str
    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}, {self.place}"


class _Message(msgspec.Struct, frozen=True):
    message: str


class _Messages(msgspec.Struct, frozen=True):
    messages: list[_Message]


def twin_blocks(root: Path, packages: Sequence[str] = PACKAGES, *, lines: int = TWIN_LINES) -> list[str]:
    """Return the blocks of at least `lines` lines that stand twice, each as the places where it stands.

    Raises:
        ToolFailed: pylint did not run.
    """
    command = [sys.executable, "-m", "pylint", f"--rcfile={os.devnull}", "--output-format=json2"]
    checks = ["--disable=all", "--enable=duplicate-code", f"--min-similarity-lines={lines}"]
    with tempfile.TemporaryDirectory(prefix="gf-house-") as cache:
        environment = {**os.environ, "PYLINTHOME": cache, "PYTHONDONTWRITEBYTECODE": "1"}
        ended = subprocess.run(
            [*command, *checks, *packages], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
    try:
        found = msgspec.json.decode(ended.stdout, type=_Messages)
    except msgspec.DecodeError as fault:
        raise ToolFailed(f"pylint: {ended.stderr or ended.stdout}") from fault
    return sorted(" = ".join(_places(message.message)) for message in found.messages)


def _places(message: str) -> list[str]:
    return sorted(f"{module} {int(first) + 1}-{last}" for module, first, last in _PLACE.findall(message))


def unused_names(root: Path, packages: Sequence[str] = PACKAGES) -> list[Unused]:
    """Return what nothing in the packages uses, by name alone; a test is no use."""
    vulture = Vulture()
    vulture.scavenge([root / package for package in packages])
    return [
        Unused(
            name=str(item.name),
            kind=str(item.typ),
            place=f"{item.filename.resolve().relative_to(root.resolve())}:{item.first_lineno}",
        )
        for item in vulture.get_unused_code(min_confidence=60)
    ]


def is_expected(unused: Unused, patterns: Sequence[str]) -> bool:
    """Tell whether a name is one of those that a framework uses."""
    return any(fnmatch(unused.name, pattern) for pattern in patterns)
