"""The plan of one run of a scenario, passed to locust's process as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

VARIABLE: Final = "LOADTEST_PLAN"
"""The environment variable with the path of that file."""

SECRET_VARIABLE: Final = "WEBHOOK_SECRET"  # noqa: S105 - the variable's name


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The users, originals and requests of a run; each kind of use has its own originals."""

    scenario: str
    people: dict[str, int]
    """How many users run at once, by the name of their class."""
    ordered: tuple[str, ...] = ()
    """Originals for which jobs are posted; each sender has its own."""
    known: tuple[str, ...] = ()
    """Originals whose derivatives exist, the most popular first."""
    first: tuple[str, ...] = ()
    """Originals whose derivatives are purged before each view; each viewer has one."""
    sizes: tuple[str, ...] = ()
    jobs: int = 0
    views: int = 0
    views_a_second: float = 50.0
    seed: int = 1
    origin: str = ""
    """The origin that requests without a body sign, if the service has one."""


def write(plan: Plan, path: Path) -> None:
    """Write a plan to a file."""
    path.write_bytes(msgspec.json.encode(plan))


def told() -> tuple[Plan, str]:
    """Return the plan at the path in the environment, and the secret that signs requests."""
    return msgspec.json.decode(Path(os.environ[VARIABLE]).read_bytes(), type=Plan), os.environ[SECRET_VARIABLE]
