"""Fixtures that open the same queue on every backend."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeAlias

import pytest

from proxy.queues.factory import open_queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from proxy.queues.base import JobQueue

    Another: TypeAlias = Callable[[], Awaitable[JobQueue]]


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("redis", marks=pytest.mark.needs("redis-server", "redis-server")),
        pytest.param("postgres", marks=pytest.mark.needs("postgres", "postgresql")),
    ],
)
def make_queue(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], JobQueue]:
    """Return a factory of queues over the same jobs, for each backend; a module may override it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'queue.db'}"
    else:
        url = request.getfixturevalue(f"{request.param}_server").make_database()
    return lambda: open_queue(url, name="images")


@pytest.fixture
async def another(make_queue: Callable[[], JobQueue]) -> AsyncIterator[Another]:
    """Yield a function that opens one more queue over the same jobs, as another process would."""
    async with AsyncExitStack() as opened:

        async def open_one() -> JobQueue:
            queue = make_queue()
            await queue.connect()
            opened.push_async_callback(queue.disconnect)
            return queue

        yield open_one


@pytest.fixture
async def queue(another: Another) -> JobQueue:
    return await another()
