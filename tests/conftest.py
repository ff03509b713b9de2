"""What tests of every room share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio alone: the service runs on nothing else."""
    return "asyncio"


def find_program(name: str) -> str | None:
    """Find a program on PATH or where Debian keeps the servers of PostgreSQL."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next(filter(None, (shutil.which(name, path=folder) for folder in (None, *map(str, versions)))), None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        program, package = marker.args
        if find_program(program) is None:
            pytest.skip(f"needs {program}: apt-get install {package}")
