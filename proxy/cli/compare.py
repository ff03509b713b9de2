"""`gf-images compare`: its options and exit codes."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from proxy.bulk.compare.causes import TITLES, Tolerance
from proxy.bulk.options import parse_budget
from proxy.cli.bulk import json_option, prefix_option, read_bulk_settings, restart_option, run_bulk, sizes_option
from proxy.cli.console import REFUSED, ParsedOption
from proxy.observability.logging import configure_logs

if TYPE_CHECKING:
    from proxy.bulk.compare.comparison_events import ComparisonEnded

EXTRA = ("jinja2", "ssimulacra2")
"""Packages of the extra `compare`, which the service itself does not need."""


@click.command()
@click.option("--old", required=True, help="prefix:KEYS (of the store), an address, or a folder.")
@click.option("--new", required=True, help="The same, for the new side.")
@click.option("--report", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option("--originals", help="Where originals are listed, or a file of keys; the first side that can be listed.")
@prefix_option(default="")
@sizes_option
@click.option("--sample", type=click.IntRange(1), help="Only so many originals, chosen by chance.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed chooses the same.")
@click.option(
    "--min-score", type=float, default=Tolerance().score, show_default=True, help="Least SSIMULACRA2 that is alike."
)
@click.option(
    "--max-colour", type=float, default=Tolerance().colour, show_default=True, help="Most mean CIEDE2000 that is alike."
)
@click.option(
    "--max-different",
    type=ParsedOption("share", parse_budget),
    default="0",
    show_default=True,
    help="How many derivatives may differ: a share, or a number.",
)
@click.option(
    "--allow", type=click.Choice(list(TITLES)), multiple=True, help="A cause that is expected; may be said again."
)
@click.option("--processes", type=click.IntRange(1, 64), help="How many that compare; one a processor when left out.")
@json_option
@restart_option("comparison")
def compare(**values: object) -> None:
    """Hold old derivatives against new ones, and write a report of what differs and why.

    Goes on where it was when it was stopped or killed. Ends with 0 when no more differ than may, 1 when more do,
    nothing was compared or it did not come to its end, 2 for wrong words.

    Example: gf-images compare --old prefix: --new prefix:shadow/ --sample 500 --report var/compare
    """
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise click.UsageError(
            f"{' and '.join(missing)} not installed: pip install 'gallformers-images[compare]' brings what it needs."
        )
    # Imported only here: the service does not need it, and the extra may not be installed.
    from proxy.bulk.compare.command import CompareOptions, compare_all  # noqa: PLC0415 - see above

    values["processes"] = values["processes"] or os.cpu_count() or 1
    options = msgspec.convert(values, CompareOptions)
    settings = read_bulk_settings(options.sizes)
    configure_logs(level="ERROR", form="console")
    ended = run_bulk(lambda stop: compare_all(options, settings, stop))
    if ended.is_finished and ended.is_empty:
        click.echo(_why_empty(ended), err=True)
        sys.exit(REFUSED)
    sys.exit(0 if ended.is_finished and ended.is_within_budget else REFUSED)


def _why_empty(ended: ComparisonEnded) -> str:
    if not ended.originals:
        return (
            "Nothing was compared: no original was found. Check --prefix, --originals, KEY_LAYOUT and ORIGINALS_PREFIX."
        )
    have = "1 original has" if ended.originals == 1 else f"{ended.originals:,} originals have"
    return f"Nothing was compared: {have} no derivative on either side. Check --old and --new, --sizes and SIZES_FILE."
