"""The HTTP server for metrics."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack, suppress
from select import select

import httpx
import pytest
import structlog

from loadtest.servers.ports import free_port
from proxy.errors import CannotStart
from proxy.observability.exposition import MAX_SCRAPES, serving_metrics
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_series_are_told_on_both_kinds_of_addresses(host: str) -> None:
    port = free_port()
    shown = f"[{host}]" if ":" in host else host
    with serving_metrics(host=host, port=port):
        answer = httpx.get(f"http://{shown}:{port}/metrics")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert "queue_depth " in answer.text


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(CannotStart, match=f"METRICS_PORT: cannot listen on 127.0.0.1:{port}"),
            serving_metrics(host="127.0.0.1", port=port),
        ):
            pass


async def test_who_asks_and_goes_away_costs_a_line_of_the_log_and_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with structlog.testing.capture_logs() as lines, serving_metrics(host="127.0.0.1", port=port):

        async def is_told() -> bool:
            with socket.create_connection(("127.0.0.1", port)) as asking:
                asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
                asking.sendall(b"GET /metrics HTTP/1.0\r\n")
            return bool(lines)

        await until(is_told)
    assert {(line["event"], line["exc_info"]) for line in lines} == {("metrics_scrape_failed", False)}
    assert capfd.readouterr() == ("", "")


def test_silent_connections_do_not_keep_a_scrape_out() -> None:
    port = free_port()
    with serving_metrics(host="127.0.0.1", port=port), ExitStack() as held:
        for _ in range(4 * MAX_SCRAPES):
            held.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200


def test_a_request_that_comes_byte_by_byte_is_left() -> None:
    port = free_port()
    with (
        serving_metrics(host="127.0.0.1", port=port, seconds=0.3),
        socket.create_connection(("127.0.0.1", port), timeout=10) as slow,
    ):
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):
            while select([], [slow], [], 0.01)[1] and not select([slow], [], [], 0.01)[0]:
                slow.sendall(b"a")
            assert slow.recv(1) == b""


@pytest.mark.parametrize(
    "line", [b"X-A: " + b"a" * 20_000, b"X: y\r\n" * 3000, b"a" * (1 << 20)], ids=["long", "many", "endless"]
)
def test_a_head_without_end_is_not_read_into_memory(line: bytes) -> None:
    port = free_port()
    with serving_metrics(host="127.0.0.1", port=port), socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(10)
        with suppress(ConnectionError):
            client.sendall(b"GET /metrics HTTP/1.0\r\n" + line + b"\r\n" + line + b"\r\n\r\n")
            assert client.recv(100).split()[1:2] == [b"431"]
