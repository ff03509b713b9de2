"""What tests of every room share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from proxy.settings.settings import list_settings
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure() -> None:
    """Forget what a service of this machine is set to: tests set what they need."""
    for setting in list_settings():
        for name in (setting.name, f"{setting.name}_FILE"):
            os.environ.pop(name, None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio alone: the service runs on nothing else."""
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.RedisServer]:
    with servers.running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    with servers.running_postgres() as server:
        yield server


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        program, package = marker.args
        if servers.find_program(program) is None:
            pytest.skip(f"needs {program}: apt-get install {package}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted, also those that ran in other processes."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid}: {name}: {value}")
