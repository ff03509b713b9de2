"""The HTTP server that exposes the metrics to Prometheus."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager, suppress
from http.client import HTTPException, LineTooLong
from http.server import ThreadingHTTPServer
from socket import SHUT_RDWR
from threading import Thread
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import MetricsHandler

from proxy.errors import CannotStart
from proxy.system.faults import bind_fault
from proxy.system.sockets import listen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase
    from socket import socket

log = structlog.get_logger(__name__)

MAX_SCRAPES: Final = 16
"""Connections at once: Prometheus and health checks need one or two, and each takes a thread."""

SCRAPE_SECONDS: Final = 10.0
"""When a connection is too old; the same as the scrape timeout of Prometheus."""

MAX_HEAD_BYTES: Final = 32 * 1024
"""The request line and all headers together; `http.server` itself would accept 6 MB."""


@contextmanager
def serving_metrics(*, host: str, port: int, seconds: float = SCRAPE_SECONDS) -> Iterator[None]:
    """Serve the metrics for the duration of the block, on a separate port and in a separate thread.

    A connection is closed after `seconds`, or up to half as late again.

    Raises:
        CannotStart: the port cannot be opened, because another process uses it for example, or HOST is not an address
            of this machine.
    """
    try:
        server = _Exposition(host, port, seconds)
    except OSError as fault:
        raise CannotStart(bind_fault(fault, host=host, port=port, setting="METRICS_PORT")) from fault
    with server:
        thread = Thread(target=server.serve_forever, args=[seconds / 2], name="metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.socket.shutdown(SHUT_RDWR)  # wakes the thread, which would look for the end after `seconds / 2`
            server.shutdown()
            thread.join()


class _Exposition(ThreadingHTTPServer):
    """The metrics server of the client library, with few connections at once, and one log line per failed scrape."""

    daemon_threads = True

    def __init__(self, host: str, port: int, seconds: float) -> None:
        super().__init__((host, port), _Scrape, bind_and_activate=False)
        self.socket.close()
        self.socket = listen(host, port)
        self._seconds = seconds
        self._opened: dict[socket, float] = {}
        """The open connections and when each was accepted, oldest first."""

    def process_request(self, request: socket, client_address: object) -> None:  # type: ignore[override] # TCP alone
        """Serve a connection in a thread of its own; the oldest one is closed if there are too many."""
        self._close_oldest(most=MAX_SCRAPES - 1)
        self._opened[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket, client_address: object) -> None:  # type: ignore[override] # as above
        """Serve one connection, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._opened.pop(request, None)

    def service_actions(self) -> None:
        """Close the connections that are too old; `serve_forever` calls this at least twice in their longest life."""
        self._close_oldest(most=MAX_SCRAPES)

    def _close_oldest(self, *, most: int) -> None:
        """Close the connections that are too old, and more until `most` are left; their threads then end."""
        expired = time.monotonic() - self._seconds
        for connection, accepted in list(self._opened.items()):
            if accepted >= expired and len(self._opened) <= most:
                return
            self._opened.pop(connection, None)
            with suppress(OSError):  # its thread has closed it meanwhile
                connection.shutdown(SHUT_RDWR)

    def handle_error(self, _request: object, _client_address: object) -> None:
        is_client = isinstance(sys.exception(), ConnectionError | HTTPException)
        log.warning("metrics_scrape_failed", detail=repr(sys.exception()), exc_info=not is_client)


class _Scrape(MetricsHandler):
    def setup(self) -> None:
        super().setup()
        self.rfile = _BoundedHead(self.rfile)  # type: ignore[assignment] # http.server reads lines alone


class _BoundedHead:
    """The lines of a request, up to `MAX_HEAD_BYTES`; http.server responds to more with 431."""

    def __init__(self, lines: BufferedIOBase) -> None:
        self._lines = lines
        self._left_bytes = MAX_HEAD_BYTES

    def readline(self, size: int) -> bytes:
        line = self._lines.readline(min(size, self._left_bytes + 1))
        self._left_bytes -= len(line)
        if self._left_bytes < 0:
            raise LineTooLong("header line")
        return line

    def close(self) -> None:
        self._lines.close()
