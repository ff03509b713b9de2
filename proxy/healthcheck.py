"""Whether the service of this machine works, as the health check of a container asks: `python -m proxy.healthcheck`.

Of the standard library alone: it runs twice a minute beside a service in 256 MB, and what that imports takes 85 MB.
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
"""How long an answer may take: what `/readyz` itself allows, with a second for the rest."""

MOST_BYTES: Final = 2000
"""How much of an answer is shown."""

PORTS: Final = {"PORT": "8080", "METRICS_PORT": "9091"}
"""The settings that are read, with their defaults."""

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened on, but asked
"""Where one asks a service that listens everywhere."""


def fault(environment: Mapping[str, str]) -> str | None:
    """Tell what is wrong with the service that runs with these settings; None when nothing is.

    A service holds its port for as long as it lives, so where nothing listens there may only be a worker: of that is
    asked whether it answers for its metrics.
    """
    host = environment.get("HOST") or "127.0.0.1"
    host = _EVERY_ADDRESS.get(host, host)
    port, metrics_port = (environment.get(name) or default for name, default in PORTS.items())
    try:
        return _answer(host, int(port), "/readyz")
    except ConnectionRefusedError:
        pass
    except (OSError, HTTPException) as error:
        return f"nothing of use comes from {host}:{port}: {error!r}"
    try:
        return _answer(host, int(metrics_port), "/metrics")
    except (OSError, HTTPException) as error:
        return f"neither a service answers at {host}:{port}, nor a worker at METRICS_PORT={metrics_port}: {error!r}"


def _answer(host: str, port: int, path: str) -> str | None:
    connection = HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(MOST_BYTES).decode(errors="replace")
    finally:
        connection.close()
    return None if answer.status == HTTPStatus.OK else f"{path} answers {answer.status}: {said}"


if __name__ == "__main__":
    sys.exit(fault(os.environ))
