"""`gf-images reprocess`: its words, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import uvloop

from proxy.app.wiring import PAGE_VIEW_RENDERS
from proxy.bulk import options
from proxy.bulk.reprocess.command import ReprocessOptions, reprocess_all
from proxy.bulk.state_dir import OtherRun
from proxy.bulk.stop import Stop
from proxy.cli.console import INTERRUPTED, REFUSED, ParsedOption, discard_output, names, read_settings_or_exit
from proxy.errors import ImagesError
from proxy.observability.logging import configure_logs

if TYPE_CHECKING:
    from proxy.bulk.events import RunEnded
    from proxy.settings.settings import Settings


@click.command()
@click.option("--prefix", help="Only originals whose keys begin so; ORIGINALS_PREFIX when left out.")
@click.option("--workers", type=click.IntRange(1, 64), help="How many renders at once; WORKERS when left out.")
@click.option(
    "--only-stale", "remake", flag_value="stale", default="stale", help="What is missing or stale: the default."
)
@click.option("--missing", "remake", flag_value="missing", help="Only what is missing.")
@click.option("--all", "remake", flag_value="all", help="Everything, fresh or not.")
@click.option("--sizes", type=ParsedOption("names", names), default="", help="Only these sizes, by comma.")
@click.option(
    "--since", type=ParsedOption("date", options.parse_date), help="Only originals that changed then or later."
)
@click.option("--limit", type=click.IntRange(1), help="End after so many that needed something.")
@click.option(
    "--retry-failed",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Only those of a file of failures.",
)
@click.option(
    "--max-failures",
    type=ParsedOption("share", options.parse_budget),
    default="0.5%",
    show_default=True,
    help="How many may fail: a share of all, or a number.",
)
@click.option(
    "--rate",
    "each_seconds",
    type=ParsedOption("rate", options.parse_rate),
    default=0.0,
    help="How many are begun at most: 5/s, 100/min.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be made and why; make nothing.")
@click.option(
    "--through-queue", is_flag=True, help="Have the workers of QUEUE make it, on as many machines as there are."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line an event.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default="var/reprocess",
    show_default=True,
    help="Folder for checkpoint and failures.",
)
@click.option("--restart", is_flag=True, help="Begin anew where an unfinished run could go on.")
def reprocess(**told: object) -> None:
    """Make again what is missing or stale of every original in the store.

    Goes on where it was when it was stopped or killed. Ends with 0 when no more failed than may, 1 when more did or it
    did not come to its end, 2 for wrong words, 130 when it was told to stop twice and gave up what was underway.

    Example: gf-images reprocess --prefix gall/ --workers 2 --dry-run
    """
    asked = msgspec.convert(told, ReprocessOptions)
    settings = read_settings_or_exit(accepts_jobs=False)
    _check(asked, settings)
    configure_logs(
        level="ERROR" if settings.log_level in {"ERROR", "CRITICAL"} else "WARNING",  # the reporter tells the rest
        form="console" if sys.stderr.isatty() else settings.log_format,
    )
    settings = replace(settings, workers=asked.workers or settings.workers or PAGE_VIEW_RENDERS)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ended = runner.run(_run(asked, settings))
    except OtherRun as fault:
        raise click.UsageError(str(fault)) from fault
    except ImagesError as fault:
        discard_output()
        click.echo(str(fault), err=True)
        sys.exit(REFUSED)
    except asyncio.CancelledError:  # told to stop twice
        sys.exit(INTERRUPTED)
    sys.exit(0 if ended.is_finished and ended.is_within_budget else REFUSED)


def _check(asked: ReprocessOptions, settings: Settings) -> None:
    there = [size.name for size in settings.sizes]
    if unknown := [size for size in asked.sizes if size not in there]:
        raise click.UsageError(f"--sizes: there is no size {', '.join(unknown)}; there are {', '.join(there)}.")
    if asked.through_queue and asked.remake == "missing":
        raise click.UsageError("--missing does not go with --through-queue: jobs make what is stale, too.")
    if asked.retry_failed and asked.since:
        raise click.UsageError("--since does not go with --retry-failed, which knows keys and no dates.")


async def _run(asked: ReprocessOptions, settings: Settings) -> RunEnded:
    stop = Stop()
    running = asyncio.current_task()

    def hear(signum: int) -> None:
        if stop.is_requested and running:
            running.cancel()
        stop.request(f"{signal.Signals(signum).name}; once more to give up what is underway")

    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, hear, signum)
    return await reprocess_all(asked, settings, stop)
