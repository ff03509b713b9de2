"""What services on several machines share, and who is told of their jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtest.servers.receiver import Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.needs("redis-server", "redis-server")),
        pytest.param("postgres", marks=pytest.mark.needs("postgres", "postgresql")),
    ]
)
def queue(request: pytest.FixtureRequest) -> str:
    """Give the address of an empty queue, on each server in turn."""
    address: str = request.getfixturevalue(f"{request.param}_server").make_database()
    return address


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("redis", marks=pytest.mark.needs("redis-server", "redis-server")),
        pytest.param("postgres", marks=pytest.mark.needs("postgres", "postgresql")),
    ]
)
def any_queue(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty queue, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:////{tmp_path}/queue.db"
    address: str = request.getfixturevalue(f"{request.param}_server").make_database()
    return address


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Lend a receiver of callbacks that listens on loopback."""
    with receiving() as one:
        yield one
