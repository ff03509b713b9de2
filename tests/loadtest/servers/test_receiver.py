"""A receiver of callbacks, as tests and load tests use it."""

from __future__ import annotations

import socket

import httpx
import msgspec
import pytest

from loadtest.servers.receiver import receiving
from loadtest.servers.service import signed

BODY = msgspec.json.encode({"type": "job.done", "timestamp": "2026-11-23T00:00:00Z", "data": {"id": "abc"}})


def test_it_writes_down_what_is_signed_and_answers_as_it_was_told() -> None:
    with receiving(statuses=(503,)) as receiver:
        statuses = [httpx.post(receiver.url, content=BODY, headers=signed(BODY)).status_code for _ in range(2)]
        assert statuses == [503, 204]
        assert [one.status for one in receiver.received] == statuses
        assert receiver.jobs() == {"abc"}
        assert receiver.wait_for({"abc"}, seconds=5)
        assert not receiver.wait_for({"another"}, seconds=0)


def test_a_receiver_that_is_down_refuses_until_it_is_up() -> None:
    with receiving() as receiver:
        receiver.refuse(503)
        assert httpx.post(receiver.url, content=BODY, headers=signed(BODY)).status_code == 503
        assert receiver.taken() == []
        receiver.refuse(None)
        assert httpx.post(receiver.url, content=BODY, headers=signed(BODY)).status_code == 204


def test_what_is_not_signed_is_counted_and_not_written_down() -> None:
    with receiving() as receiver:
        assert httpx.post(receiver.url, content=BODY).status_code == 401
        assert httpx.post(receiver.url, content=BODY + b" ", headers=signed(BODY)).status_code == 401
        assert (receiver.forged, receiver.received) == (2, [])


@pytest.mark.parametrize("arrived", [b"POST /callbacks HTTP/1.1\r\nHost: a\r\n", b"\r\n{", b""])
def test_what_a_killed_sender_left_half_sent_is_not_taken_for_forged(arrived: bytes) -> None:
    head = b"POST /callbacks HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
    with receiving() as receiver:
        with socket.create_connection(("127.0.0.1", receiver.server_port), timeout=5) as sender:
            sender.sendall(arrived if arrived.startswith(b"POST") else head + arrived)
            sender.shutdown(socket.SHUT_WR)
            assert sender.recv(1000) == b""
        assert (receiver.forged, receiver.received) == (0, [])
