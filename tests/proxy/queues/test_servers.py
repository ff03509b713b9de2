"""SAQ's own queues keep the contract too, on real servers: so it is theirs, and not ours alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.queues.open import open_queue
from tests.proxy.queues.contract import QueueContract
from tests.proxy.queues.worker_contract import WorkerContract

if TYPE_CHECKING:
    from collections.abc import Callable

    from saq import Queue


@pytest.mark.needs("redis-server", "redis-server")
class TestRedis(QueueContract, WorkerContract):
    @pytest.fixture
    def make_queue(self, make_redis_database: Callable[[], str]) -> Callable[[], Queue]:
        url = make_redis_database()
        return lambda: open_queue(url, name="images")


@pytest.mark.needs("postgres", "postgresql")
class TestPostgres(QueueContract, WorkerContract):
    @pytest.fixture
    def make_queue(self, make_postgres_database: Callable[[], str]) -> Callable[[], Queue]:
        url = make_postgres_database()
        return lambda: open_queue(url, name="images")
