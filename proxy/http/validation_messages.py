"""Messages about values that a client sent, in words that need no knowledge of the service's types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.http.query import AGE

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES: Final = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
"""The names that msgspec has for types of JSON -> ours."""

_WHERE: Final = re.compile(r" - at `\$(?P<path>[^`]*)`$")


def _wrong_type(found: re.Match[str]) -> str:
    expected = " or ".join(TYPES.get(name, name) for name in found["expected"].split(" | "))
    return f"must be {expected}, not {TYPES.get(found['got'], found['got'])}"


def _bound(found: re.Match[str]) -> str:
    side = "at least" if found["sign"] == ">=" else "at most"
    return f"must be {TYPES.get(found['type'], found['type'])} of {side} {int(found['bound']):,}"


def _length(found: re.Match[str]) -> str:
    if (found["sign"], found["bound"]) == (">=", "1"):
        return "must not be empty"
    side = "at least" if found["sign"] == ">=" else "at most"
    unit = "characters" if found["type"] == "str" else "entries"
    return f"must have {side} {int(found['bound']):,} {unit}"


def _pattern(found: re.Match[str]) -> str:
    if found["pattern"] == AGE:
        return "must be a number and a unit, such as 90s, 15m, 2h or 7d"
    return f"must match {found['pattern']}"


_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = (
    (re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`"), _wrong_type),
    (re.compile(r"Expected `(?P<type>\w+)` of length (?P<sign>[<>]=) (?P<bound>\d+)"), _length),
    (re.compile(r"Expected `(?P<type>\w+)` (?P<sign>[<>]=) (?P<bound>-?\d+)"), _bound),
    (re.compile(r"Expected `str` matching regex '(?P<pattern>.*)'"), _pattern),
    (
        re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL),
        lambda found: f"{found['value']} is not a value that it may have; /schema lists them",
    ),
)
"""The messages of msgspec that clients can cause."""


def located(name: str, message: str) -> str:
    """Return a message of msgspec about the value of a field as its path in JSON, and what the value must be."""
    where = _WHERE.search(message)
    return f"{name}{where['path'] if where else ''}: {readable(message.removesuffix(where[0]) if where else message)}"


def readable(message: str) -> str:
    """Return a message of msgspec about a value as what the value must be; other messages are returned unchanged."""
    where = _WHERE.search(message)
    path = where["path"].removeprefix(".") if where else ""
    text = message.removesuffix(where[0]) if where else message
    for form, translate in _FORMS:
        if found := form.fullmatch(text):
            return f"{f'entry {path} ' if path else ''}{translate(found)}"
    return message
