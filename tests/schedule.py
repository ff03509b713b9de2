"""Which tests are slow, which are started first, and which run in one process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler.loadscope import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[1]

SLOW = (
    "tests/end_to_end/",
    "tests/loadtest/",
    "tests/main_site/",
    "tests/config/test_alerts.py",
    "tests/config/test_compose.py",
    "tests/config/test_workflows.py",
    "tests/pipeline/compare/",
    "tests/pipeline/decode/test_memory_model.py",
    "tests/proxy/cli/test_promote.py",
    "tests/proxy/queues/test_processes.py",
    "tests/test_ci.py",
    "tests/test_distribution.py",
    "tests/test_licences.py",
)
"""Folders and modules that start services, or compute for seconds."""

SLOW_FIXTURES = {"moto", "planted", "postgres_server", "redis_server", "weed"}
"""Servers that take seconds to start, and comparisons of whole folders."""

MODULE_SECONDS = {
    "tests/end_to_end/test_killed_service.py": 100,
}
"""How long the longest modules take, about."""

SPLIT: frozenset[str] = frozenset()
"""Modules that are so long that their tests are shared out one by one."""


def is_slow(item: pytest.Item) -> bool:
    """Return whether a test is left to the whole run: by where it is, or by what it needs."""
    fixtures = set(getattr(item, "fixturenames", ()))
    return (
        item.nodeid.startswith(SLOW)
        or bool(fixtures & SLOW_FIXTURES)
        or next(item.iter_markers("needs"), None) is not None
    )


def expected_seconds(item: pytest.Item) -> int:
    """Return about how long the module of a test takes."""
    return MODULE_SECONDS.get(_module(item.nodeid), 0)


class ByModule(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """Share out whole modules, in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        module = _module(nodeid)
        return nodeid if module in SPLIT else module


def _module(nodeid: str) -> str:
    return nodeid.partition("::")[0]
