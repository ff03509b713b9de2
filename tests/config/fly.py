"""fly.toml as Fly documents it: https://fly.io/docs/reference/configuration/, every name it knows of what we use.

A name that is not here is refused when it is read: Fly itself leaves it out without a word.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

FLY = Path(__file__).parents[2] / "fly.toml"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table whose every name is known."""


class Machine(_Table, frozen=True):
    """`[[vm]]`: what a machine has."""

    size: str = "shared-cpu-1x"
    memory: str = ""
    cpus: int = 1
    cpu_kind: Literal["shared", "performance"] = "shared"
    processes: tuple[str, ...] = ()


class Restart(_Table, frozen=True):
    """`[[restart]]`: what happens when the program ends."""

    policy: Literal["always", "never", "on-failure"]
    retries: int = 0
    processes: tuple[str, ...] = ()


class Mount(_Table, frozen=True):
    """`[[mounts]]`: a volume, and where it lies."""

    source: str
    destination: str
    processes: tuple[str, ...] = ()
    initial_size: str | int = ""
    snapshot_retention: int = 5
    auto_extend_size_threshold: int = 0
    auto_extend_size_increment: str = ""
    auto_extend_size_limit: str = ""


class Concurrency(_Table, frozen=True):
    """`[http_service.concurrency]`: how much a machine is given at once."""

    type: Literal["connections", "requests"] = "connections"
    soft_limit: int = 0
    hard_limit: int = 0


class Check(_Table, frozen=True):
    """`[[http_service.checks]]`: how a machine is asked whether it is well."""

    path: str
    method: Literal["GET", "HEAD", "POST", "get"] = "GET"
    interval: str = "15s"
    timeout: str = "10s"
    grace_period: str = "5s"
    protocol: Literal["http", "https"] = "http"
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    headers: dict[str, str] = {}


class Web(_Table, frozen=True):
    """`[http_service]`: how requests get in."""

    internal_port: int
    force_https: bool = False
    auto_stop_machines: Literal["off", "stop", "suspend"] | bool = "off"
    auto_start_machines: bool = True
    min_machines_running: int = 0
    processes: tuple[str, ...] = ()
    concurrency: Concurrency = Concurrency()
    checks: tuple[Check, ...] = ()


class Metrics(_Table, frozen=True):
    """`[metrics]`: where Fly's Prometheus asks."""

    port: int
    path: str


class Fly(_Table, frozen=True):
    """The whole file."""

    app: str
    primary_region: str
    http_service: Web
    metrics: Metrics
    kill_signal: Literal["SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP"] = "SIGINT"
    kill_timeout: str | int = 5
    swap_size_mb: int = 0
    env: dict[str, str] = {}
    vm: tuple[Machine, ...] = ()
    restart: tuple[Restart, ...] = ()
    mounts: tuple[Mount, ...] = ()
    processes: dict[str, str] = {}


def read(text: bytes) -> Fly:
    """Read a fly.toml.

    Raises:
        msgspec.ValidationError: a name that Fly does not document, or a value that is none of its kind.
    """
    return msgspec.toml.decode(text, type=Fly)


def seconds(told: str | int) -> float:
    """Give the seconds of a time as Fly writes it at the top of the file: `40s`, `1m30s`, or a number of seconds."""
    if isinstance(told, int):
        return told
    assert re.fullmatch(r"(\d+(ms|s|m|h))+", told), told
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|s|m|h)", told))
