"""Ports that are held as long as they are needed."""

from __future__ import annotations

from contextlib import contextmanager
from socket import AF_INET, AF_INET6, create_server, socket
from typing import TYPE_CHECKING

import structlog
from prometheus_client import start_http_server

from proxy.errors import CannotStart

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger(__name__)


@contextmanager
def listening(*, host: str, port: int) -> Iterator[socket]:
    """Hold the port; before anything is started, so that a service that runs twice says so at once.

    Raises:
        CannotStart: something else has it.
    """
    try:
        held = create_server((host, port), family=AF_INET6 if ":" in host else AF_INET)
    except OSError as fault:
        raise CannotStart(f"PORT: nothing can listen on {host}:{port} ({fault.strerror}); set another.") from fault
    with held:
        log.info("listening", host=host, port=port)
        yield held


@contextmanager
def answering_prometheus(*, host: str, port: int) -> Iterator[None]:
    """Answer Prometheus on a port of its own, in a thread of its own.

    Raises:
        CannotStart: something else has the port.
    """
    try:
        server, _thread = start_http_server(port, addr=host)
    except OSError as fault:
        raise CannotStart(
            f"METRICS_PORT: nothing can listen on {host}:{port} ({fault.strerror}); set another port, or 0 for none."
        ) from fault
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
