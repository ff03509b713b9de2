"""`gf-images promote`: its words, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import click
import msgspec
import uvloop

from proxy.bulk.compare.causes import TITLES
from proxy.bulk.compare.verdicts import OtherSides
from proxy.bulk.promote.command import PromoteOptions, promote_all
from proxy.bulk.stop import Stop
from proxy.cli.console import REFUSED, ParsedOption, discard_output, names, read_settings_or_exit
from proxy.errors import ImagesError
from proxy.observability.logging import configure_logs


@click.command()
@click.option("--prefix", help="Only originals whose keys begin so; ORIGINALS_PREFIX when left out.")
@click.option("--sizes", type=ParsedOption("names", names), default="", help="Only these sizes, by comma.")
@click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False), help="Only what passed this `compare --report`."
)
@click.option(
    "--allow", type=click.Choice(list(TITLES)), multiple=True, help="With --report: a difference that is expected."
)
@click.option("--undo", is_flag=True, help="Put back what was under the live names before.")
@click.option("--dry-run", is_flag=True, help="Say what would be copied; copy nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line an event.")
def promote(*, sizes: tuple[str, ...], **told: object) -> None:
    """Copy the derivatives below SHADOW_PREFIX to their live names, within the store.

    What was there before is kept below replaced/ until --undo puts it back. What is live already is left as it is, so
    the same command goes on after it was stopped or killed. Ends with 0 when all is copied, 1 when something failed, 2
    for wrong words.

    Example: SHADOW_PREFIX=shadow/ gf-images promote --prefix gall/58/ --report var/compare --dry-run
    """
    if told["allow"] and not told["report"]:
        raise click.UsageError("--allow needs --report: without a comparison all of the shadow is promoted.")
    asked = msgspec.convert({**told, "sizes": sizes}, PromoteOptions)
    settings = read_settings_or_exit(accepts_jobs=False)
    if not settings.shadow_prefix:
        raise click.UsageError("SHADOW_PREFIX must be set to where the derivatives lie that are to go live.")
    there = [size.name for size in settings.sizes]
    if unknown := [size for size in asked.sizes if size not in there]:
        raise click.UsageError(f"--sizes: there is no size {', '.join(unknown)}; there are {', '.join(there)}.")
    configure_logs(level="WARNING", form="console")

    async def run() -> bool:
        stop = Stop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signum, stop.request, signal.Signals(signum).name)
        ended = await promote_all(asked, settings, stop)
        return ended.is_finished and not ended.failed

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            is_done = runner.run(run())
    except OtherSides as fault:
        raise click.UsageError(str(fault)) from fault
    except ImagesError as fault:
        discard_output()
        click.echo(str(fault), err=True)
        sys.exit(REFUSED)
    sys.exit(0 if is_done else REFUSED)
