"""The row of a picture, and how files have it: as CSV to import, or as SQL that updates the rows of a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.derivatives.picture.picture import PictureDescription

COLUMNS: Final = ("width", "height", "color", "lqip", "thumbhash", "picture")
"""The columns beside the key; `picture` is the whole description as JSON, as callbacks have it."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

Value = str | int | None


class RowFormat(Protocol):
    """How a file has rows: the lines before them, the line of each, and the lines behind them."""

    @property
    def head(self) -> str:
        """Return the lines before the rows."""
        ...

    @property
    def end(self) -> str:
        """Return the lines behind the rows."""
        ...

    def line(self, picture: PictureDescription) -> str:
        """Return the line of a picture."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRows:
    """CSV (RFC 4180) with a header.

    Texts are quoted, and a value that is not known is empty, which PostgreSQL imports as null. A key contains no line
    break, and JSON escapes them: each row is one line.
    """

    key_column: str
    end: str = ""

    @property
    def head(self) -> str:
        """Return the header."""
        return ",".join((self.key_column, *COLUMNS)) + "\n"

    def line(self, picture: PictureDescription) -> str:
        """Return the line of a picture."""
        return ",".join(_csv(value) for value in (picture.key, *_values(picture))) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlRows:
    """One transaction of standard SQL, for PostgreSQL and SQLite: a file without its end changes nothing."""

    table: str
    key_column: str
    head: str = "BEGIN;\n"
    end: str = "COMMIT;\n"

    def line(self, picture: PictureDescription) -> str:
        """Return the line of a picture."""
        columns = zip(COLUMNS, _values(picture), strict=True)
        values = ", ".join(f"{column} = {_literal(value)}" for column, value in columns)
        where = f"{self.key_column} = {_literal(picture.key)}"
        return f"UPDATE {self.table} SET {values} WHERE {where};\n"  # noqa: S608 - names are checked, values are quoted


def check_names(table: str, key_column: str) -> None:
    """Raise if the table, which may have a schema, or the column has no plain name.

    Raises:
        ValueError: the message names the option.
    """
    for option, text, names in (("--table", table, table.split(".", 1)), ("--key-column", key_column, [key_column])):
        if not all(_NAME.fullmatch(name) for name in names):
            raise ValueError(f"{option}: {text!r} is not a name of letters, digits and underscores.")


def _values(picture: PictureDescription) -> Iterable[Value]:
    yield from (picture.width, picture.height, picture.color, picture.placeholder.lqip, picture.placeholder.thumbhash)
    yield msgspec.json.encode(picture).decode()


def _csv(value: Value) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else '"' + value.replace('"', '""') + '"'


def _literal(value: Value) -> str:
    """Return a literal of standard SQL, in which only quotes are special; neither keys nor JSON contain a NUL."""
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
