"""`gf-images promote`: its options and exit codes."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from proxy.bulk.compare.causes import TITLES
from proxy.bulk.promote.command import PromoteOptions, promote_all
from proxy.cli.bulk.bulk_options import json_option, prefix_option, read_bulk_settings, run_bulk, sizes_option
from proxy.cli.console import REFUSED, env_file_option
from proxy.cli.usage import StrictCommand, refuse_together, require
from proxy.observability.logging import configure_logs


@click.command(cls=StrictCommand)
@prefix_option()
@sizes_option
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of a report of `gf-images compare`: promote only derivatives that passed it.",
)
@click.option(
    "--allow",
    type=click.Choice(list(TITLES)),
    multiple=True,
    metavar="CAUSE",
    help="With --report: promote also derivatives with this cause of a difference; repeatable (see `compare --help`).",
)
@click.option("--undo", is_flag=True, help="Restore the derivatives that were live before.")
@click.option("--dry-run", is_flag=True, help="Print what would be changed; change nothing.")
@json_option
@env_file_option
def promote(**values: object) -> None:
    """Copy derivatives from the shadow to their live names.

    The shadow is all derivatives below SHADOW_PREFIX in the store. The previous live derivatives are kept below
    replaced/, from which --undo restores them. Derivatives that are live already are skipped, so after a stop or a kill
    the same command continues.

    Exit codes: 0, no original failed, even if derivatives were not promoted; 1, an original failed, the run is not
    finished, or it could not start; 2, usage error.

    Example: SHADOW_PREFIX=shadow/ gf-images promote --prefix gall/58/ --report var/compare --dry-run
    """
    options = msgspec.convert(values, PromoteOptions)
    refuse_together("undo", "report")
    require("report", "allow", why="all derivatives are promoted without a report")
    settings = read_bulk_settings(options.sizes)
    if not settings.shadow_prefix:
        raise click.UsageError(
            "SHADOW_PREFIX must be set to the prefix of the derivatives to promote, such as shadow/."
        )
    configure_logs(level="WARNING", form="console")
    ended = run_bulk(lambda stop: promote_all(options, settings, stop), can_abort=False)
    sys.exit(0 if ended.is_finished and not ended.failed else REFUSED)
