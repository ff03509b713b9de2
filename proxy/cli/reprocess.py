"""`gf-images reprocess`: its options and exit codes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from proxy.app.wiring import PAGE_VIEW_RENDERS
from proxy.bulk.options import parse_budget, parse_date, parse_rate
from proxy.bulk.reprocess.command import ReprocessOptions, reprocess_all
from proxy.cli.bulk import json_option, prefix_option, read_bulk_settings, restart_option, run_bulk, sizes_option
from proxy.cli.console import REFUSED, ParsedOption
from proxy.observability.logging import configure_logs


@click.command()
@prefix_option()
@click.option("--workers", type=click.IntRange(1, 64), help="How many renders at once; WORKERS when left out.")
@click.option(
    "--only-stale", "remake", flag_value="stale", default="stale", help="What is missing or stale: the default."
)
@click.option("--missing", "remake", flag_value="missing", help="Only what is missing.")
@click.option("--all", "remake", flag_value="all", help="Everything, fresh or not.")
@sizes_option
@click.option("--since", type=ParsedOption("date", parse_date), help="Only originals that changed then or later.")
@click.option("--limit", type=click.IntRange(1), help="End after so many that needed something.")
@click.option(
    "--retry-failed",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Only those of a file of failures.",
)
@click.option(
    "--max-failures",
    type=ParsedOption("share", parse_budget),
    default="0.5%",
    show_default=True,
    help="How many may fail: a share of all, or a number.",
)
@click.option(
    "--rate",
    "each_seconds",
    type=ParsedOption("rate", parse_rate),
    default=0.0,
    help="How many are begun at most: 5/s, 100/min.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be made and why; make nothing.")
@click.option(
    "--through-queue", is_flag=True, help="Have the workers of QUEUE make it, on as many machines as there are."
)
@json_option
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default="var/reprocess",
    show_default=True,
    help="Folder for checkpoint and failures.",
)
@restart_option("run")
def reprocess(**values: object) -> None:
    """Make again what is missing or stale of every original in the store.

    Goes on where it was when it was stopped or killed. Ends with 0 when no more failed than may, 1 when more did or it
    did not come to its end, 2 for wrong words, 130 when it was told to stop twice and gave up what was underway.

    Example: gf-images reprocess --prefix gall/ --workers 2 --dry-run
    """
    options = msgspec.convert(values, ReprocessOptions)
    settings = read_bulk_settings(options.sizes)
    _check(options)
    configure_logs(
        level="ERROR" if settings.log_level in {"ERROR", "CRITICAL"} else "WARNING",  # the reporter shows the rest
        form="console" if sys.stderr.isatty() else settings.log_format,
    )
    settings = replace(settings, workers=options.workers or settings.workers or PAGE_VIEW_RENDERS)
    ended = run_bulk(lambda stop: reprocess_all(options, settings, stop))
    sys.exit(0 if ended.is_finished and ended.is_within_budget else REFUSED)


def _check(options: ReprocessOptions) -> None:
    if options.through_queue and options.remake == "missing":
        raise click.UsageError("--missing does not go with --through-queue: jobs make what is stale, too.")
    if options.retry_failed and options.since:
        raise click.UsageError("--since does not go with --retry-failed, which knows keys and no dates.")
