"""`gf-images promote`: its options and exit codes."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from proxy.bulk.compare.causes import TITLES
from proxy.bulk.promote.command import PromoteOptions, promote_all
from proxy.cli.bulk import json_option, prefix_option, read_bulk_settings, run_bulk, sizes_option
from proxy.cli.console import REFUSED
from proxy.observability.logging import configure_logs


@click.command()
@prefix_option()
@sizes_option
@click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False), help="Only what passed this `compare --report`."
)
@click.option(
    "--allow", type=click.Choice(list(TITLES)), multiple=True, help="With --report: a difference that is expected."
)
@click.option("--undo", is_flag=True, help="Put back what was under the live names before.")
@click.option("--dry-run", is_flag=True, help="Say what would be copied; copy nothing.")
@json_option
def promote(**values: object) -> None:
    """Copy the derivatives below SHADOW_PREFIX to their live names, within the store.

    What was there before is kept below replaced/ until --undo puts it back. What is live already is left as it is, so
    the same command goes on after it was stopped or killed. Ends with 0 when all is copied, 1 when something failed, 2
    for wrong words.

    Example: SHADOW_PREFIX=shadow/ gf-images promote --prefix gall/58/ --report var/compare --dry-run
    """
    options = msgspec.convert(values, PromoteOptions)
    if options.allow and not options.report:
        raise click.UsageError("--allow needs --report: without a comparison all of the shadow is promoted.")
    settings = read_bulk_settings(options.sizes)
    if not settings.shadow_prefix:
        raise click.UsageError("SHADOW_PREFIX must be set to where the derivatives lie that are to go live.")
    configure_logs(level="WARNING", form="console")
    ended = run_bulk(lambda stop: promote_all(options, settings, stop), can_abort=False)
    sys.exit(0 if ended.is_finished and not ended.failed else REFUSED)
