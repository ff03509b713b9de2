"""The named sizes, read from a TOML file; all faults are reported together."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_origin, get_type_hints

import msgspec

from pipeline.size import Size
from proxy.settings.where import read_where

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.keys.where import Where

SIZES_FILE = str(Path(__file__).with_name("sizes.toml").resolve())
"""The sizes file that ships with the service: `config/sizes.toml` of a checkout, or its copy in the package."""


_EXAMPLES = {
    "width": 800,
    "height": 600,
    "fit": "limit",
    "position": "attention",
    "quality": 76,
    "format": "webp",
    "effort": 4,
    "gamut": "srgb",
    "animate": True,
    "keep_copyright": True,
    "strip_only": True,
}
"""A valid value of each setting of a size."""


class BadSettings(Exception):
    """Invalid settings; `faults` has one sentence per fault, with the name of the variable or size."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class SizesFile:
    """What a sizes file defines: all sizes, and the prefixes of keys that have sizes or a layout of their own."""

    sizes: tuple[Size, ...] = ()
    where: tuple[Where, ...] = ()


def read_sizes(path: Path) -> tuple[Size, ...]:
    """Return all sizes in the TOML file `path`; raises what `read_sizes_file` raises."""
    return read_sizes_file(path).sizes


def read_sizes_file(path: Path) -> SizesFile:
    """Return what the TOML file `path` defines.

    Raises:
        BadSettings: the file is invalid; the error lists every fault.
    """
    try:
        file = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise BadSettings([f"{path} cannot be read ({fault.strerror}). Name an existing file of sizes"]) from fault
    except ValueError as fault:
        raise BadSettings([f"{path}: {fault}"]) from fault
    tables, exceptions = file.pop("sizes", None), file.pop("where", [])
    faults = [f"{path}: {name} is not allowed; every table must be [sizes.<name>] or [[where]]" for name in file]
    if not isinstance(tables, dict) or not tables:
        raise BadSettings([*faults, f"{path}: must contain [sizes.<name>] tables"])
    outcomes = [_read_size(name, table) for name, table in tables.items()]
    where, where_faults = read_where(exceptions, names=tuple(tables))
    if faults := [*faults, *(outcome for outcome in outcomes if isinstance(outcome, str)), *where_faults]:
        raise BadSettings(faults)
    return SizesFile(sizes=tuple(outcome for outcome in outcomes if isinstance(outcome, Size)), where=where)


def _read_size(name: str, table: object) -> Size | str:
    if not isinstance(table, dict):
        return f"sizes.{name}: must be a table"
    faults = [fault for field, value in table.items() if (fault := _misread(field, value))]
    needs_width = not table.get("strip_only")
    if needs_width and "width" not in table:
        faults.append("width is missing; set it to the width in pixels")
    stand_ins = {field: 1 for field in ("width", "height") if field in table or (field == "width" and needs_width)}
    sound = {field: value for field, value in table.items() if not _misread(field, value)}
    try:
        size = Size(**{**stand_ins, **sound, "name": name})
    except ValueError as fault:
        faults.append(str(fault))
    return f"sizes.{name}: {'; '.join(faults)}" if faults else size


def _misread(field: str, value: object) -> str | None:
    """Return what is wrong with one entry of a size's table, or None.

    Only unknown names and wrong types are checked here; `Size` itself reports all other faults.
    """
    kinds = {name: kind for name, kind in get_type_hints(Size).items() if name != "name"}
    if field not in kinds:
        return f"unknown setting {field}; the settings are {', '.join(kinds)}"
    kind = kinds[field]
    is_choice = any(get_origin(part) is Literal for part in (kind, *get_args(kind)))
    return _mistyped(field, value, str if is_choice else kind)


def _mistyped(field: str, value: object, kind: type) -> str | None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        words = {str: "text in quotes", bool: "true or false"}.get(kind, "a whole number without quotes")
        example = _EXAMPLES[field]
        return f"{field} must be {words}, such as {field} = {_as_toml(example)}; it is {_as_toml(value)}"
    return None


def _as_toml(value: object) -> str:
    return json.dumps(value) if isinstance(value, str | bool) else str(value)
