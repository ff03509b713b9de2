"""The embedded queue keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.queues.open import open_queue
from tests.proxy.queues.contract import QueueContract
from tests.proxy.queues.worker_contract import WorkerContract

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from saq import Queue


@pytest.fixture
def make_queue(tmp_path: Path) -> Callable[[], Queue]:
    return lambda: open_queue(f"sqlite:///{tmp_path / 'queue.db'}", name="images")


class TestSqliteQueue(QueueContract):
    """A file of its own."""


class TestSqliteWorker(WorkerContract):
    """A file of its own."""
