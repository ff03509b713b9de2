"""Health check of the local service, for a container: `python -m proxy.healthcheck`.

It imports only the standard library: it runs twice a minute beside a service in 256 MB, whose own imports take 85 MB.
"""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANSWER_SECONDS: Final = 6.0
"""The timeout for a response: the time that `/readyz` itself allows, plus one second."""

MOST_BYTES: Final = 2000
"""The most bytes of a response that are shown."""

PORTS: Final = {"PORT": "8080", "METRICS_PORT": "9091"}
"""The settings of the ports, with their defaults."""

MAX_PORT: Final = 65_535

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound, only a key of this table
"""The address to connect to when the service listens on all addresses."""


PROCESSES: Final = Path("/proc")


class Unhealthy(Exception):
    """The service does not work, or its health cannot be determined; `str()` is a sentence for the operator."""


def check(environment: Mapping[str, str], *, processes: Path = PROCESSES) -> str:
    """Return what was found out about the service or worker that has these settings and works.

    A service holds its port as long as it runs. If the port refuses connections, only a worker may be running, so the
    metrics port is requested instead. A worker without one has no port at all: then only its process is looked up in
    `processes`, which shows that it runs, but not whether its queue and its store answer.

    Raises:
        Unhealthy: the service or worker does not work, or nothing of it was found.
    """
    host = _setting(environment, "HOST") or "127.0.0.1"
    host = _EVERY_ADDRESS.get(host, host)
    port, metrics_port = (_port(environment, name, default) for name, default in PORTS.items())
    try:
        _request(host, port, "/readyz")
    except ConnectionRefusedError:
        pass
    except (OSError, HTTPException) as error:
        raise Unhealthy(f"no valid response from {host}:{port}: {error!r}") from error
    else:
        return f"the service at {host}:{port} is ready"
    if not metrics_port:
        return _worker_process(processes, f"no service responds on {host}:{port}, and METRICS_PORT is 0")
    try:
        _request(host, metrics_port, "/metrics")
    except (OSError, HTTPException) as error:
        raise Unhealthy(
            f"no service responds on {host}:{port}, and no worker on METRICS_PORT={metrics_port}: {error!r}"
        ) from error
    return f"a worker responds at METRICS_PORT={metrics_port}"


def _setting(environment: Mapping[str, str], name: str) -> str:
    """Return a setting as the service reads it: from the file that `<name>_FILE` names, else from the environment."""
    file = environment.get(f"{name}_FILE")
    if not file:
        return environment.get(name, "").strip()
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise Unhealthy(f"{name}_FILE: must name a readable file of UTF-8 text: {error}") from error


def _port(environment: Mapping[str, str], name: str, default: str) -> int:
    value = _setting(environment, name) or default
    if not value.isdecimal() or int(value) > MAX_PORT:
        raise Unhealthy(f"{name}: must be a port from 0 to {MAX_PORT}")
    return int(value)


def _worker_process(processes: Path, missing: str) -> str:
    for path in processes.glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if any(_is_program(words[:number]) for number, word in enumerate(words) if word == "worker"):
            return (
                f"a worker runs as process {path.parent.name}, but METRICS_PORT=0, so nothing more can be checked; set "
                "METRICS_PORT to check what it depends on"
            )
    raise Unhealthy(f"{missing}, and no worker was found among the processes; set METRICS_PORT")


def _is_program(words: Sequence[str]) -> bool:
    """Return whether a command line up to the command is that of `gf-images` or of `python -m proxy`."""
    return [*words[-2:]] == ["-m", "proxy"] or (bool(words) and words[-1].rpartition("/")[2] == "gf-images")


def _request(host: str, port: int, path: str) -> None:
    connection = HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(MOST_BYTES).decode(errors="replace")
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise Unhealthy(f"{path} responded with {answer.status}: {said}")


def main() -> None:
    """Print the result; exit with 1 if the service does not work."""
    try:
        print(check(os.environ))  # noqa: T201 - the product of a health check
    except Unhealthy as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
