"""Contract tests of the in-memory store."""

from __future__ import annotations

import pytest

from proxy.stores.memory import MemoryStore
from tests.proxy.stores.contract import StoreContract


class TestMemoryStore(StoreContract):
    """The contract, on the in-memory store."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        """Return an empty store."""
        return MemoryStore()
