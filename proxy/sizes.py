"""The named sizes, read from their file with all faults named at once."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_origin, get_type_hints

import msgspec

from pipeline.size import Size

if TYPE_CHECKING:
    from collections.abc import Iterable

SIZES_FILE = str(Path(__file__).parents[1] / "config" / "sizes.toml")
"""The sizes that ship with the service."""


class BadSettings(Exception):
    """Settings that the service cannot start with; `faults` has a sentence for each, with the variable's name."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


def read_sizes(path: Path) -> tuple[Size, ...]:
    """Read the named sizes from a TOML file.

    Raises:
        BadSettings: with every fault there is.
    """
    try:
        file = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise BadSettings([f"{path}: {fault}"]) from fault
    tables = file.get("sizes")
    if not isinstance(tables, dict) or not tables or len(file) > 1:
        raise BadSettings([f"{path}: must have [sizes.<name>] tables, and nothing else"])
    outcomes = [_read_size(name, table) for name, table in tables.items()]
    if faults := [outcome for outcome in outcomes if isinstance(outcome, str)]:
        raise BadSettings(faults)
    return tuple(outcome for outcome in outcomes if isinstance(outcome, Size))


def _read_size(name: str, table: object) -> Size | str:
    if not isinstance(table, dict):
        return f"sizes.{name}: must be a table"
    if unknown := set(table) - {one.name for one in fields(Size)}:
        return f"sizes.{name}: there is no setting {', '.join(sorted(unknown))}"
    kinds = get_type_hints(Size)
    # A choice is checked by the size itself, which names all its faults; msgspec would stop at the first.
    loose = {field: str if get_origin(kind) is Literal else kind for field, kind in kinds.items()}
    faults = [fault for field, value in table.items() if (fault := _mistyped(field, value, loose[field]))]
    try:
        return f"sizes.{name}: {'; '.join(faults)}" if faults else Size(**{**table, "name": name})
    except (TypeError, ValueError) as fault:
        return f"sizes.{name}: {fault}"


def _mistyped(field: str, value: object, kind: type) -> str | None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as fault:
        return f"{field}: {fault}"
    return None
