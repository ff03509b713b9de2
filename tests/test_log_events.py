"""The table of docs/reference/log-events.md lists the events of the source, with their levels."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[1]

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
        table = _table(tree, name.value.id)
        yield from (str(ast.literal_eval(value)) for value in table.values)
        return
    assert isinstance(name, ast.Constant), f"line {name.lineno}: an event must be a literal, not {ast.unparse(name)}"
    yield str(name.value)


def _table(tree: ast.Module, name: str) -> ast.Dict:
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name
    )
    assert isinstance(table, ast.Dict)
    return table


def events() -> Mapping[str, set[str]]:
    """Return every event of the service, with its levels."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "proxy").rglob("*.py")):
        for event, levels in logged(path.read_text(encoding="utf-8")).items():
            found[event] |= levels
    return found


def documented() -> list[list[str]]:
    """Return the rows of the table: event, level, meaning."""
    page = (ROOT / "docs" / "reference" / "log-events.md").read_text(encoding="utf-8")
    return [[cell.strip("`| ") for cell in line.split(" | ")] for line in page.splitlines() if line.startswith("| `")]


def test_the_table_has_every_event_of_the_source_and_no_other() -> None:
    assert [event for event, _, _ in documented()] == sorted(events())


def test_the_table_has_the_levels_of_the_source() -> None:
    levels = {event: set(level.split(", ")) for event, level, _ in documented()}
    assert levels == events()


def test_the_table_explains_every_event() -> None:
    assert all(meaning.endswith(".") for _, _, meaning in documented())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('log.info("a", key=1)', {"a": {"info"}}),
        ('log.exception("a")\nlog.warning("a")', {"a": {"error", "warning"}}),
        ('(log.warning if bad else log.info)("a")', {"a": {"info", "warning"}}),
        ('context.run(log.warning, "a", line=1)', {"a": {"warning"}}),
        ('structlog.get_logger(__name__).critical("a")', {"a": {"critical"}}),
        ('TABLE: dict[str, str] = {"x": "a", "y": "b"}\nlog.error(TABLE[x])', {"a": {"error"}, "b": {"error"}}),
        ('other.info("a")', {}),
    ],
)
def test_every_form_of_a_log_call_is_found(source: str, expected: dict[str, set[str]]) -> None:
    assert logged(source) == expected


@pytest.mark.parametrize("name", ['f"a_{outcome}"', "error.code"])
def test_an_event_that_is_not_a_literal_is_an_error(name: str) -> None:
    with pytest.raises(AssertionError, match="must be a literal"):
        logged(f"log.info({name})")
