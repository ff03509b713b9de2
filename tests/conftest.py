"""What tests of every room share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import hypothesis
import pytest

from proxy.settings.settings import list_settings
from tests import servers
from tests.children import Watch
from tests.schedule import ByModule, all_slow, expected_seconds, is_slow, is_uncounted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path


COUNTING = "COVERAGE_PROCESS_CONFIG"
"""The variable with which coverage.py reaches the processes that tests start."""


def pytest_configure(config: pytest.Config) -> None:
    """Forget what a service of this machine is set to: tests set what they need."""
    config.pluginmanager.register(Watch())
    for setting in list_settings():
        for name in (setting.name, f"{setting.name}_FILE"):
            os.environ.pop(name, None)


hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")
"""How long an example takes, the other programs of the machine decide."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and put what takes longest first, so that no worker is left with it in the end."""
    for item in items:
        if is_slow(item):
            item.add_marker("slow")
        if is_uncounted(item):
            item.add_marker("no_cover")
    items.sort(key=expected_seconds, reverse=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Leave the processes that an uncounted test starts out of the coverage as well."""
    counting = os.environ.pop(COUNTING, None) if is_uncounted(item) else None
    try:
        return (yield)
    finally:
        if counting:
            os.environ[COUNTING] = counting


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where slow tests are left out, do not even look into what is slow as a whole: importing it takes seconds."""
    return True if _is_quick(config) and all_slow(collection_path) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run more tests at once than there are cores: many wait for other processes, the slow ones most of all."""
    cores = len(os.sched_getaffinity(0))
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", cores + 1 if _is_quick(config) else 2 * cores))


def _is_quick(config: pytest.Config) -> bool:
    return bool(config.option.markexpr == "not slow")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByModule:
    """Keep the tests of a module together, for the sake of what they share."""
    return ByModule(config, log)


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
