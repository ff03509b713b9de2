"""Fixtures for tests of stores: paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite(
    "tests.proxy.stores.contract", "tests.proxy.stores.contract_keys", "tests.proxy.stores.contract_parts"
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "root"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a local file that does not exist yet."""
    return tmp_path / "local"
