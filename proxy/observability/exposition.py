"""The HTTP server that exposes the metrics to Prometheus."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from threading import Thread
from typing import TYPE_CHECKING

import structlog
from prometheus_client import MetricsHandler

from proxy.errors import CannotStart
from proxy.system.faults import bind_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger(__name__)

SCRAPE_SECONDS = 10.0
"""The timeout for a client to send its request; the same as the scrape timeout of Prometheus."""


@contextmanager
def serving_metrics(*, host: str, port: int) -> Iterator[None]:
    """Serve the metrics for the duration of the block, on a separate port and in a separate thread.

    Raises:
        CannotStart: the port cannot be opened, because another process uses it for example, or HOST is not an address
            of this machine.
    """
    try:
        server = _Exposition(host, port)
    except OSError as fault:
        raise CannotStart(bind_fault(fault, host=host, port=port, setting="METRICS_PORT")) from fault
    with server:
        thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Exposition(ThreadingHTTPServer):
    """A server for the request handler of `prometheus_client`; a failed response is logged as one event."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, port), _Scrape)

    def handle_error(self, _request: object, _client_address: object) -> None:
        is_gone = isinstance(sys.exception(), ConnectionError)
        log.warning("metrics_not_told", detail=repr(sys.exception()), exc_info=not is_gone)


class _Scrape(MetricsHandler):
    timeout = SCRAPE_SECONDS
