"""Listening sockets."""

from __future__ import annotations

import socket

import pytest

from proxy.system.sockets import listen


@pytest.mark.parametrize(
    ("host", "clients"),
    [("127.0.0.1", ["127.0.0.1"]), ("::1", ["::1"]), ("::", ["::1", "127.0.0.1"]), ("localhost", ["127.0.0.1"])],
)
def test_a_socket_is_reached_on_every_family_that_its_host_stands_for(host: str, clients: list[str]) -> None:
    with listen(host, 0) as listening:
        port = listening.getsockname()[1]
        for client in clients:
            socket.create_connection((client, port), timeout=5).close()
