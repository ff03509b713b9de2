"""The HTTP server that exposes the metrics to Prometheus."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING

import structlog
from prometheus_client import MetricsHandler

from proxy.errors import CannotStart
from proxy.system.faults import bind_fault
from proxy.system.sockets import listen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket

log = structlog.get_logger(__name__)

MAX_SCRAPES = 16
"""Connections at once: Prometheus and health checks need one or two, and each takes a thread."""

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
    """The metrics server of the client library, with few connections at once, and one log line per failed scrape."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), _Scrape, bind_and_activate=False)
        self.socket.close()
        self.socket = listen(host, port)
        self._free = BoundedSemaphore(MAX_SCRAPES)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        """Serve a connection in a thread of its own; close it where too many are served already."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        """Serve one connection, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, _request: object, _client_address: object) -> None:
        is_disconnect = isinstance(sys.exception(), ConnectionError)
        log.warning("metrics_scrape_failed", detail=repr(sys.exception()), exc_info=not is_disconnect)


class _Scrape(MetricsHandler):
    timeout = SCRAPE_SECONDS
