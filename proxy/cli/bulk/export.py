"""`gf-images export`: its options and exit codes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from proxy.app.wiring import PAGE_VIEW_RENDERS
from proxy.bulk.export.command import ExportOptions, export_all
from proxy.bulk.export.row_formats import check_names
from proxy.bulk.options import parse_budget
from proxy.cli.bulk.bulk_options import json_option, prefix_option, read_bulk_settings, run_bulk
from proxy.cli.console import REFUSED, ParsedOption, env_file_option
from proxy.cli.usage import StrictCommand, require
from proxy.observability.logging import configure_logs

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(cls=StrictCommand)
@prefix_option()
@click.option("--csv", type=_FILE, help="Write a CSV file with a header.")
@click.option("--sql", type=_FILE, help="Write SQL that updates the rows of a table, for PostgreSQL and SQLite.")
@click.option("--table", default="image", show_default=True, help="Table that the SQL updates.")
@click.option("--key-column", default="path", show_default=True, help="Column with the key of the original.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--render", is_flag=True, help="Render derivatives that are missing or stale first, as reprocess does.")
@click.option(
    "--max-failures",
    type=ParsedOption("number|percent", parse_budget),
    default="0.5%",
    show_default=True,
    help="Most originals that may fail: a number, or a percentage of all.",
)
@json_option
@env_file_option
def export(*, overwrite: bool, **values: object) -> None:
    """Write a row for each picture, to import into a database.

    The rows have what pages need to know of every picture of the store.

    A row has the key, width, height, color, lqip, thumbhash, and picture: the whole description as JSON, as callbacks
    have it. Without --render, it is read from the metadata of the derivatives, and an original whose derivatives this
    version has not rendered is listed and left out. A file gets its name once it is complete; after a stop, start over.

    Exit codes: 0, every original has a row, apart from --max-failures; 1, originals were left out, more failed, the run
    is not finished, or it could not start; 2, usage error; 130, aborted by a second signal.

    Example: gf-images export --prefix gall/ --sql pictures.sql --render
    """
    options = msgspec.convert(values, ExportOptions)
    files = {"--csv": options.csv, "--sql": options.sql}
    if not any(files.values()):
        raise click.UsageError("No file is named to write to. Use --csv FILE or --sql FILE, or both.")
    if options.csv == options.sql:
        raise click.UsageError(f"--csv and --sql name the same file, {options.csv}. Name two different ones.")
    require("sql", "table", why="only SQL names the table")
    for option, file in files.items():
        if file and file.exists() and not overwrite:
            raise click.UsageError(f"{option}: {file} exists. Use --overwrite, or name another file.")
    try:
        check_names(options.table, options.key_column)
    except ValueError as fault:
        raise click.UsageError(str(fault)) from fault
    settings = read_bulk_settings(())
    if settings.shadow_prefix:
        raise click.UsageError(
            "SHADOW_PREFIX is set, so the rows would have the URLs of the shadow. Promote, then export without it."
        )
    configure_logs(level="WARNING", form="console")
    settings = replace(settings, workers=settings.workers or PAGE_VIEW_RENDERS)
    ended = run_bulk(lambda stop: export_all(options, settings, stop))
    if ended.due:
        click.echo(
            "Originals that were left out have no row: use --render, or run gf-images reprocess first.", err=True
        )
    sys.exit(0 if ended.is_finished and ended.is_within_budget and not ended.due else REFUSED)
