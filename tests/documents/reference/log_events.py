"""The table of log events: names and levels from the source, meanings from the document."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.documents.reference.tables import code, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[3]

LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error", "critical": "critical"}
"""Method of a logger -> the level of its events; `debug` is not used."""


def logged(source: str) -> dict[str, set[str]]:
    """Return the events that a module logs with `log`, each with its levels.

    Raises:
        AssertionError: the name of an event is neither a literal nor an item of a table of literals.
    """
    tree = ast.parse(source)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (call := _log_call(node)):
            levels, name = call
            for event in _names(name, tree):
                found[event] |= levels
    return dict(found)


def _log_call(call: ast.Call) -> tuple[set[str], ast.expr] | None:
    """Return the levels and the event of a call, or None if it logs nothing.

    The forms are `log.info(event)`, `(log.info if … else log.error)(event)` and `run(log.info, event)`.
    """
    if levels := _levels(call.func):
        return levels, call.args[0]
    for method, event in zip(call.args, call.args[1:], strict=False):
        if levels := _levels(method):
            return levels, event
    return None


def _levels(method: ast.expr) -> set[str]:
    if isinstance(method, ast.IfExp):
        return _levels(method.body) | _levels(method.orelse)
    if isinstance(method, ast.Attribute) and method.attr in LEVELS and _is_logger(method.value):
        return {LEVELS[method.attr]}
    return set()


def _is_logger(value: ast.expr) -> bool:
    return ast.unparse(value) in {"log", "structlog.get_logger(__name__)"}


def _names(name: ast.expr, tree: ast.Module) -> Iterator[str]:
    if isinstance(name, ast.Subscript) and isinstance(name.value, ast.Name):
        yield from (str(ast.literal_eval(value)) for value in _table(tree, name.value.id).values)
        return
    assert isinstance(name, ast.Constant), f"line {name.lineno}: an event must be a literal, not {ast.unparse(name)}"
    yield str(name.value)


def _table(tree: ast.Module, name: str) -> ast.Dict:
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name
    )
    assert isinstance(value, ast.Dict)
    return value


@cache
def events() -> Mapping[str, set[str]]:
    """Return every event of the service, with its levels."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "proxy").rglob("*.py")):
        for event, levels in logged(path.read_text(encoding="utf-8")).items():
            found[event] |= levels
    return found


def meanings(body: str) -> Mapping[str, str]:
    """Return the meanings of the events in the rows of a table, by event."""
    rows = [line.strip("| ").split(" | ", 2) for line in body.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[2].strip() for row in rows if len(row) > 2}


def log_events_table(body: str) -> str:
    """Return every event of the service with its levels, and the meaning that the table already has."""
    known = meanings(body)
    rows = (
        [code(event), ", ".join(sorted(levels)), known.get(event, "")] for event, levels in sorted(events().items())
    )
    return table(["event", "level", "meaning and what to do"], rows)
