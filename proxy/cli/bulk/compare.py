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
from proxy.cli.bulk.bulk_options import (
    json_option,
    prefix_option,
    read_bulk_settings,
    restart_option,
    run_bulk,
    sizes_option,
)
from proxy.cli.console import REFUSED, ParsedOption, env_file_option
from proxy.cli.usage import Number, StrictCommand, WholeNumber, require
from proxy.observability.logging import configure_logs

if TYPE_CHECKING:
    from proxy.bulk.compare.comparison_events import ComparisonEnded

EXTRA = ("ssimulacra2",)
"""Packages of the extra `compare`, which the service itself does not need."""


CAUSES = "\b\nCauses:\n" + "\n".join(f"  {code:<18}{title}" for code, title in TITLES.items())


@click.command(cls=StrictCommand, epilog=CAUSES)
@click.option("--old", required=True, metavar="SIDE", help="Old side: prefix:KEYS in the store, a URL, or a folder.")
@click.option("--new", required=True, metavar="SIDE", help="New side: prefix:KEYS in the store, a URL, or a folder.")
@click.option(
    "--report", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the report."
)
@click.option(
    "--originals",
    metavar="SIDE|FILE",
    help="Side that lists the originals, or a file with one key per line; default: --old, else --new, else the store.",
)
@prefix_option(default="")
@sizes_option
@click.option("--sample", type=WholeNumber(1), help="Compare a random sample of this many originals.")
@click.option(
    "--seed",
    type=WholeNumber(0),
    default=1,
    show_default=True,
    help="Seed of the sample; the same seed selects the same originals.",
)
@click.option(
    "--min-score",
    type=Number(high=100),
    default=Tolerance().score,
    show_default=True,
    help="Lowest SSIMULACRA2 that counts as alike.",
)
@click.option(
    "--max-colour",
    type=Number(0),
    default=Tolerance().colour,
    show_default=True,
    help="Highest mean CIEDE2000 that counts as alike.",
)
@click.option(
    "--max-different",
    type=ParsedOption("number|percent", parse_budget),
    default="0",
    show_default=True,
    help="Most derivatives that may differ: a number, or a percentage of all compared ones.",
)
@click.option(
    "--allow",
    type=click.Choice(list(TITLES)),
    multiple=True,
    metavar="CAUSE",
    help="Expected cause, which is reported but does not count; repeatable.",
)
@click.option("--processes", type=WholeNumber(1, 64), help="Number of comparing processes; default: one per processor.")
@json_option
@restart_option("comparison")
@env_file_option
def compare(**values: object) -> None:
    """Compare old and new derivatives, and write a report.

    The report shows what differs and why. After a stop or a kill, the same command continues.

    Exit codes: 0, no more derivatives differ than --max-different; 1, more differ, nothing was compared, the comparison
    is not finished, or it could not start; 2, usage error; 130, aborted by a second signal.

    Example: gf-images compare --old prefix: --new prefix:shadow/ --sample 500 --report var/compare
    """
    require("sample", "seed", why="without a sample, every original is compared")
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise click.UsageError(
            f"Missing packages: {', '.join(missing)}. Install them: {sys.executable} -m pip install "
            "'gallformers-images[compare]'"
        )
    # Imported only here: the service does not need it, and the extra may not be installed.
    from proxy.bulk.compare.command import CompareOptions, compare_all  # noqa: PLC0415 - see above

    values["processes"] = values["processes"] or os.cpu_count() or 1
    options = msgspec.convert(values, CompareOptions)
    settings = read_bulk_settings(options.sizes, needs_store=False)  # two folders need none
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
