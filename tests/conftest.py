"""What tests of every room share."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("needs"):
            program, package = marker.args
            if not shutil.which(program):
                item.add_marker(pytest.mark.skip(reason=f"needs {program}: apt-get install {package}"))
