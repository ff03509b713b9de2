"""Settings in a file of lines `NAME=value`, as `gf-images init` writes it and container tools read it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dotenv.parser import parse_stream

from proxy.settings.sizes import BadSettings
from proxy.system.faults import system_error

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from pathlib import Path

    from dotenv.parser import Binding

FILE: Final = "_FILE"
"""The end of the name of a variable that names a file with the value of the setting."""


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file. A `$` in a value has no meaning, so that passwords need no escapes.

    Raises:
        BadSettings: the file cannot be read, or lines are invalid; values are never quoted, as they may be secrets.
    """
    try:
        with path.open(encoding="utf-8") as file:
            bindings = [*parse_stream(file)]
    except UnicodeDecodeError:
        raise BadSettings(
            [f"{path} is not UTF-8 text. Save it as UTF-8, with a line NAME=value for each setting."]
        ) from None
    except OSError as fault:
        raise BadSettings(
            [f"{path} cannot be read ({fault.strerror}). Name an existing file; `gf-images init` writes one."]
        ) from fault
    lines: dict[str, int] = {}
    if faults := [f"{path}, line {one.original.line}: {wrong}" for one in bindings if (wrong := _fault(one, lines))]:
        raise BadSettings(faults)
    return {one.key: one.value for one in bindings if one.key and one.value is not None}


def add_variables(environment: MutableMapping[str, str], variables: Mapping[str, str]) -> None:
    """Add variables to an environment, which has priority: as `NAME` or as `NAME_FILE`, what it has stays."""
    known = {name.removesuffix(FILE) for name in environment}
    environment.update({name: value for name, value in variables.items() if name.removesuffix(FILE) not in known})


def file_fault(name: str, error: Exception) -> str:
    """Return why the value of a setting cannot be read from the file that `<name>_FILE` names."""
    cause = system_error(error)
    why = cause.strerror if cause else "it has other bytes"
    return f"{name}{FILE}: must name a readable file of UTF-8 text, which {os.environ[name + FILE]} is not: {why}"


def set_variable(environment: MutableMapping[str, str], name: str, value: str) -> None:
    """Set a variable in an environment, so that it has priority over a file that contains its value."""
    environment[name] = value
    environment.pop(name + FILE, None)


def _fault(line: Binding, lines: dict[str, int]) -> str | None:
    """Return what is wrong with a line, or None; `lines` has the numbers of those before it, by their names."""
    if line.error or (line.key is not None and line.value is None):
        return "must be NAME=value, or begin with #. Correct it."
    if line.key is None:
        return None
    if (earlier := lines.setdefault(line.key, line.original.line)) != line.original.line:
        return f"sets {line.key} again, after line {earlier}. Remove one of them."
    return None
