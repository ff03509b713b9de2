"""The store in memory keeps the contract."""

from __future__ import annotations

import pytest

from proxy.stores.memory import MemoryStore
from tests.proxy.stores.contract import StoreContract


class TestMemoryStore(StoreContract):
    """The contract, in memory."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        """Give an empty store."""
        return MemoryStore()
