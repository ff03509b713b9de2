"""What tests of every room share."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from proxy.settings.settings import list_settings
from tests import servers
from tests.children import Census, children

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


census = Census()


def pytest_configure() -> None:
    """Forget what a service of this machine is set to: tests set what they need."""
    for setting in list_settings():
        for name in (setting.name, f"{setting.name}_FILE"):
            os.environ.pop(name, None)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
    """Note the processes that a fixture starts for more than one test."""
    before = {*children()} if fixturedef.scope != "function" else set()
    made = yield
    if fixturedef.scope != "function":
        census.shared |= {*children()} - before
    return made


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Know the processes that were there before a test."""
    census.known = {*children()}
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Fail a test that leaves a process behind, once its fixtures are torn down."""
    yield
    if left := census.left():
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        pytest.fail(f"It left processes behind: {[*left.values()]}", pytrace=False)


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
