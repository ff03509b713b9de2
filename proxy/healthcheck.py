"""Health check of the local service, for a container: `python -m proxy.healthcheck`.

It imports only the standard library: it runs twice a minute beside a service in 256 MB, whose own imports take 85 MB.
"""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_SECONDS: Final = 6.0
"""The timeout for a response: the time that `/readyz` itself allows, plus one second."""

MOST_BYTES: Final = 2000
"""The most bytes of a response that are shown."""

PORTS: Final = {"PORT": "8080", "METRICS_PORT": "9091"}
"""The settings of the ports, with their defaults."""

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound, only a key of this table
"""The address to connect to when the service listens on all addresses."""


def fault(environment: Mapping[str, str]) -> str | None:
    """Return what is wrong with the service that has these settings, or None if it works.

    A service holds its port as long as it runs. If the port refuses connections, only a worker may be running, so the
    metrics port is requested instead.
    """
    host = environment.get("HOST") or "127.0.0.1"
    host = _EVERY_ADDRESS.get(host, host)
    port, metrics_port = (environment.get(name) or default for name, default in PORTS.items())
    try:
        return _answer(host, int(port), "/readyz")
    except ConnectionRefusedError:
        pass
    except (OSError, HTTPException) as error:
        return f"no valid response from {host}:{port}: {error!r}"
    try:
        return _answer(host, int(metrics_port), "/metrics")
    except (OSError, HTTPException) as error:
        return f"no service responds on {host}:{port}, and no worker on METRICS_PORT={metrics_port}: {error!r}"


def _answer(host: str, port: int, path: str) -> str | None:
    connection = HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(MOST_BYTES).decode(errors="replace")
    finally:
        connection.close()
    return None if answer.status == HTTPStatus.OK else f"{path} responded with {answer.status}: {said}"


if __name__ == "__main__":
    sys.exit(fault(os.environ))
