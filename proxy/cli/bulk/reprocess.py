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
from proxy.cli.bulk.bulk_options import (
    json_option,
    prefix_option,
    read_bulk_settings,
    restart_option,
    run_bulk,
    sizes_option,
)
from proxy.cli.console import REFUSED, ParsedOption, env_file_option
from proxy.cli.usage import StrictCommand, WholeNumber
from proxy.observability.logging import configure_logs


@click.command(cls=StrictCommand)
@prefix_option()
@click.option("--workers", type=WholeNumber(1, 64), help="Number of concurrent renders; default: WORKERS.")
@click.option(
    "--only-stale",
    "remake",
    flag_value="stale",
    default="stale",
    help="Render derivatives that are missing or stale; the default.",
)
@click.option("--missing", "remake", flag_value="missing", help="Render only derivatives that are missing.")
@click.option("--all", "remake", flag_value="all", help="Render all derivatives, even fresh ones.")
@sizes_option
@click.option("--since", type=ParsedOption("date", parse_date), help="Only originals changed at this time or later.")
@click.option("--limit", type=WholeNumber(1), help="Stop after this many originals that were not fresh.")
@click.option(
    "--retry-failed",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Only the originals in this file of failures, which an earlier run has written.",
)
@click.option(
    "--max-failures",
    type=ParsedOption("number|percent", parse_budget),
    default="0.5%",
    show_default=True,
    help="Most originals that may fail: a number, or a percentage of all.",
)
@click.option(
    "--rate",
    "each_seconds",
    type=ParsedOption("rate", parse_rate),
    default=0.0,
    help="Start at most this many originals that are not fresh, such as 5/s or 100/min.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be rendered and why; render nothing.")
@click.option(
    "--through-queue", is_flag=True, help="Queue jobs for the workers of QUEUE instead of rendering on this machine."
)
@json_option
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default="var/reprocess",
    show_default=True,
    help="Folder for the checkpoint and the files of failures.",
)
@restart_option("run")
@env_file_option
def reprocess(**values: object) -> None:
    """Render the missing and stale derivatives of the store.

    After a stop or a kill, the same command continues.

    Exit codes: 0, no more originals failed than --max-failures; 1, more failed, the run is not finished, or it could
    not start; 2, usage error; 130, aborted by a second signal.

    Example: gf-images reprocess --prefix gall/ --workers 2 --dry-run
    """
    options = msgspec.convert(values, ReprocessOptions)
    _check(options)
    settings = read_bulk_settings(options.sizes)
    configure_logs(
        level="ERROR" if settings.log_level in {"ERROR", "CRITICAL"} else "WARNING",  # the reporter shows the rest
        form="console" if sys.stderr.isatty() else settings.log_format,
    )
    settings = replace(settings, workers=options.workers or settings.workers or PAGE_VIEW_RENDERS)
    ended = run_bulk(lambda stop: reprocess_all(options, settings, stop))
    sys.exit(0 if ended.is_finished and ended.is_within_budget else REFUSED)


def _check(options: ReprocessOptions) -> None:
    if options.through_queue and options.remake == "missing":
        raise click.UsageError(
            "--missing cannot be used with --through-queue: jobs also render stale derivatives. Remove one of them."
        )
    if options.through_queue and options.workers:
        raise click.UsageError(
            "--workers cannot be used with --through-queue: the workers of QUEUE render, not this machine. Remove one "
            "of them."
        )
    if options.retry_failed and options.since:
        raise click.UsageError(
            "--since cannot be used with --retry-failed: a file of failures has no dates. Remove one of them."
        )
