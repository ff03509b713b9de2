"""Queues on servers, for services on several machines."""

from __future__ import annotations

import pytest


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
