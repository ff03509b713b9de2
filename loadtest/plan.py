"""What one run of a scenario is to do: told to the process that does it as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

VARIABLE: Final = "LOADTEST_PLAN"
"""The environment variable that names the file."""

SECRET_VARIABLE: Final = "WEBHOOK_SECRET"  # noqa: S105 - the variable's name


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How many of whom, with which originals, how much of what; each of the kinds of originals has its own."""

    scenario: str
    people: dict[str, int]
    """How many at once, by the name of their class."""
    ordered: tuple[str, ...] = ()
    """Originals that jobs are ordered for; each sender has its own."""
    known: tuple[str, ...] = ()
    """Originals whose derivatives are there, the most popular first."""
    first: tuple[str, ...] = ()
    """Originals whose derivatives are purged before they are looked at; each viewer has one."""
    sizes: tuple[str, ...] = ()
    jobs: int = 0
    views: int = 0
    views_a_second: float = 50.0
    seed: int = 1


def write(plan: Plan, path: Path) -> None:
    """Write a plan to a file."""
    path.write_bytes(msgspec.json.encode(plan))


def told() -> tuple[Plan, str]:
    """Read the plan that the environment names, and the secret that signs."""
    return msgspec.json.decode(Path(os.environ[VARIABLE]).read_bytes(), type=Plan), os.environ[SECRET_VARIABLE]
