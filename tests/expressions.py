"""What config/ asks of the series: the expressions of its dashboard and of its alerts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import REGISTRY

import proxy.metrics  # noqa: F401 - it fills the registry

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Path(__file__).parents[1] / "config"

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",), "info": ("_info",)}

_STRINGS_AND_RANGES = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring) ?\([^)]*\)")
_NAMES = re.compile(r"\b[a-z_][a-z0-9_]*\b(?!\s*\()", re.IGNORECASE)
_WORDS = frozenset({"and", "or", "unless", "by", "bool", "e"})


class Rule(msgspec.Struct, frozen=True):
    """An alert as config/alerts.yml has it."""

    alert: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    waits: str = msgspec.field(name="for", default="")
    """How long the expression must hold, such as `5m`."""


class _Group(msgspec.Struct, frozen=True):
    name: str
    rules: list[Rule]


class _Rules(msgspec.Struct, frozen=True):
    groups: list[_Group]


def rules() -> list[Rule]:
    """Read the alerts."""
    read = msgspec.yaml.decode((CONFIG / "alerts.yml").read_bytes(), type=_Rules)
    return [rule for group in read.groups for rule in group.rules]


def dashboard() -> dict[str, object]:
    """Read the dashboard."""
    read: dict[str, object] = json.loads((CONFIG / "grafana-dashboard.json").read_bytes())
    return read


def dashboard_expressions() -> list[str]:
    """Give every expression of the dashboard, for all machines and a rate of the last minute."""
    found = [text.replace("$__rate_interval", "1m") for name, text in texts(dashboard()) if name == "expr"]
    return [re.sub(r"\$\w+", ".*", text) for text in found]


def series_of(expression: str) -> set[str]:
    """Name the series that an expression asks for."""
    return set(_NAMES.findall(_STRINGS_AND_RANGES.sub("", expression))) - _WORDS


def series_there() -> set[str]:
    """Name every series that the service tells."""
    return {f"{one.name}{suffix}" for one in REGISTRY.collect() for suffix in _SUFFIXES[one.type]}


def texts(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Walk every text of a document, with the name that it has where it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, name)
    elif isinstance(value, str):
        yield name, value
