"""Prints the measures of the source tree: folders, layers, names, lengths, twins, unused names, test minutes.

    python -m tests.house [--check] [--root BEFORE] [--root AFTER]

With --check it ends with 1 if a rule is broken: a folder of more than 12 modules, a class or file name or a block that
stands twice, an unused name. pyproject.toml has the exceptions, below `tool.house` and `tool.vulture`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tests.house.house import measure
from tests.house.report import faults, notes, table
from tests.house.rules import read_tools
from tests.house.tools import ToolFailed

ROOT = Path(__file__).parents[2]
TITLES = ("before", "after")


@click.command()
@click.option(
    "--root",
    "roots",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    multiple=True,
    help="Another checkout; given twice, the table has the columns before and after.",
)
@click.option("--check", is_flag=True, help="End with 1 if the last checkout breaks a rule.")
def main(*, roots: tuple[Path, ...], check: bool) -> None:
    """Print the measures of the source tree, the rules that it breaks, and the names behind the numbers."""
    if len(roots) > len(TITLES):
        raise click.UsageError("--root can be given twice at most.")
    exceptions = read_tools(ROOT)
    try:
        houses = [measure(root, exceptions) for root in roots or (ROOT,)]
    except ToolFailed as fault:
        raise click.ClickException(str(fault)) from fault
    titles = TITLES if len(houses) > 1 else ("",)
    click.echo(table(dict(zip(titles, houses, strict=True))))
    click.echo()
    broken = [*faults(houses[-1])]
    for line in (*notes(houses[-1]), *broken):
        click.echo(line)
    if check and broken:
        click.echo(f"{len(broken)} rules are broken")
        sys.exit(1)


if __name__ == "__main__":
    main()
