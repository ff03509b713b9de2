"""The table of settings."""

from __future__ import annotations

from pathlib import Path

from proxy.settings.settings import list_settings
from tests.documents.reference.tables import code, linked, table

ROOT = Path(__file__).parents[3]

TYPES = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}


def settings_table(_: str) -> str:
    """Return every setting with its type, its default and its meaning."""
    rows = (
        [code(one.name), one.values or TYPES[type(one.default)], code(shown(one.default)), linked(one.description)]
        for one in list_settings()
    )
    return table(["variable", "value", "default", "meaning"], rows)


def shown(default: object) -> str:
    """Return a default as an operator would write it."""
    if isinstance(default, bool):
        return str(default).lower()
    return str(default).removeprefix(f"{ROOT}/")
