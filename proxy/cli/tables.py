"""Tables for people: nothing in them is cut off, and lines end without blanks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection

WIDE = 500
"""Width of a table if standard output is not a terminal: no value is folded."""


def new_table(*columns: str, whole: Collection[str] = (), has_head: bool = True) -> Table:
    """Return a table with these columns; values that are too wide for the terminal are folded, but those of `whole`."""
    table = Table(box=None, pad_edge=False, show_header=has_head)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    return table


def print_tables(*tables: Table) -> None:
    """Print tables without the blanks that fill their columns."""
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    with console.capture() as printed:
        for table in tables:
            console.print(table)
    click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))
