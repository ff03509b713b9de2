"""The HTTP server for metrics."""

from __future__ import annotations

import socket
import struct

import httpx
import pytest
import structlog

from loadtest.ports import free_port
from proxy.errors import CannotStart
from proxy.observability.exposition import serving_metrics
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
