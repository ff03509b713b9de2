"""`gf-images compare`: its words, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import uvloop

from proxy.bulk import options
from proxy.bulk.compare.causes import TITLES, Tolerance
from proxy.bulk.stop import Stop
from proxy.cli.console import INTERRUPTED, REFUSED, ParsedOption, discard_output, names, read_settings_or_exit
from proxy.errors import ImagesError
from proxy.observability.logging import configure_logs

if TYPE_CHECKING:
    from proxy.bulk.compare.command import CompareOptions
    from proxy.bulk.compare.events import ComparisonEnded
    from proxy.settings.settings import Settings

EXTRA = ("jinja2", "ssimulacra2")
"""What the extra brings that the service itself has no use for."""


@click.command()
@click.option("--old", required=True, help="prefix:KEYS (of the store), an address, or a folder.")
@click.option("--new", required=True, help="The same, for the new side.")
@click.option("--report", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option("--originals", help="Where originals are listed, or a file of keys; the first side that can be listed.")
@click.option("--prefix", default="", help="Only originals whose keys begin so.")
@click.option("--sizes", type=ParsedOption("names", names), default="", help="Only these, by comma.")
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
    type=ParsedOption("share", options.parse_budget),
    default="0",
    show_default=True,
    help="How many derivatives may differ: a share, or a number.",
)
@click.option(
    "--allow", type=click.Choice(list(TITLES)), multiple=True, help="A cause that is expected; may be said again."
)
@click.option("--processes", type=click.IntRange(1, 64), help="How many that compare; one a processor when left out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line an event.")
@click.option("--restart", is_flag=True, help="Begin anew where an unfinished comparison could go on.")
def compare(**told: object) -> None:
    """Hold old derivatives against new ones, and write a report of what differs and why.

    Goes on where it was when it was stopped or killed. Ends with 0 when no more differ than may, 1 when more do,
    nothing was compared or it did not come to its end, 2 for wrong words.

    Example: gf-images compare --old prefix: --new prefix:shadow/ --sample 500 --report var/compare
    """
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise click.UsageError(
            f"{' and '.join(missing)} not installed: pip install 'gallformers-images[compare]' brings what it needs."
        )
    # Imported only here: the service has no use for it, nor perhaps the extra.
    from proxy.bulk.compare.command import CompareOptions  # noqa: PLC0415 - see above
    from proxy.bulk.compare.database import OtherComparison  # noqa: PLC0415 - see above

    told["processes"] = told["processes"] or os.cpu_count() or 1
    asked = msgspec.convert(told, CompareOptions)
    settings = read_settings_or_exit(accepts_jobs=False)
    there = [size.name for size in settings.sizes]
    if unknown := [size for size in asked.sizes if size not in there]:
        raise click.UsageError(f"--sizes: there is no size {', '.join(unknown)}; there are {', '.join(there)}.")
    configure_logs(level="ERROR", form="console")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ended = runner.run(_run(asked, settings))
    except OtherComparison as fault:
        raise click.UsageError(str(fault)) from fault
    except ImagesError as fault:
        discard_output()
        click.echo(str(fault), err=True)
        sys.exit(REFUSED)
    except asyncio.CancelledError:  # told to stop twice
        sys.exit(INTERRUPTED)
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


async def _run(asked: CompareOptions, settings: Settings) -> ComparisonEnded:
    from proxy.bulk.compare.command import compare_all  # noqa: PLC0415 - as above

    stop = Stop()
    running = asyncio.current_task()

    def hear(signum: int) -> None:
        if stop.is_requested and running:
            running.cancel()
        stop.request(f"{signal.Signals(signum).name}; once more to give up what is underway")

    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, hear, signum)
    return await compare_all(asked, settings, stop)
