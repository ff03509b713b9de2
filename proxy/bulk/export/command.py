"""`gf-images export`: what pages need to know of every picture, built from the components of the service."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time
from typing import TYPE_CHECKING

from proxy.app.key_layouts import walked_prefixes
from proxy.app.public_urls import public_addresses
from proxy.app.wiring import build
from proxy.bulk.checkpoint import RunOptions, RunProgress, new_checkpoint
from proxy.bulk.events import RunEnded, RunStarted, describe
from proxy.bulk.export.row_file import RowFile
from proxy.bulk.export.row_formats import CsvRows, SqlRows
from proxy.bulk.export.step import ExportStep
from proxy.bulk.options import Budget  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.bulk.originals import ListedOriginals
from proxy.bulk.reporters import reporting
from proxy.bulk.reprocess.render import RenderStep
from proxy.bulk.started import started, store_runner
from proxy.bulk.state_dir import NoState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.app.wiring import Components
    from proxy.bulk.stop import Stop
    from proxy.settings.settings import Settings

UNDERWAY = 16
"""Concurrent originals, each with lookups of all its sizes: a lookup takes 10 to 50 ms, mostly waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Command options; a `prefix` of None stands for ORIGINALS_PREFIX, `csv` and `sql` are the files to write."""

    prefix: str | None
    csv: Path | None
    sql: Path | None
    table: str
    key_column: str
    render: bool
    max_failures: Budget
    as_json: bool


async def export_all(options: ExportOptions, settings: Settings, stop: Stop) -> RunEnded:
    """Write the row of every original that the options select; if the run is stopped, its files are discarded.

    Raises:
        ImagesError: the run cannot start or continue.
    """
    components = build(settings)
    run_options = _run_options(options, settings, components)
    progress = RunProgress(new_checkpoint(run_options), NoState())
    files = _files(options)
    async with AsyncExitStack() as stack:
        for file in files:
            stack.enter_context(file.opened())
        await stack.enter_async_context(started(components))
        reporter = stack.enter_context(reporting(describe, as_json=options.as_json, stop=stop))
        reporter.emit(RunStarted(run="export", prefix=run_options.prefix, mode="export", sizes=run_options.sizes))
        runner = store_runner(components, concurrency=UNDERWAY, progress=progress, stop=stop, reporter=reporter)
        is_finished = await runner.run(
            ListedOriginals(
                store=components.store,
                layout=components.recipe.layout,
                prefixes=walked_prefixes(options.prefix, settings),
            ),
            _step(options, settings, components, files=files, stop=stop).run,
        )
        if is_finished:
            for file in files:
                file.complete()
        ended = _run_ended(progress, options.max_failures, is_finished=is_finished)
        reporter.emit(ended)
    reporter.check()
    return ended


def _files(options: ExportOptions) -> list[RowFile]:
    files = []
    if options.csv:
        files.append(RowFile(options.csv, CsvRows(key_column=options.key_column), option="--csv"))
    if options.sql:
        files.append(RowFile(options.sql, SqlRows(table=options.table, key_column=options.key_column), option="--sql"))
    return files


def _step(
    options: ExportOptions, settings: Settings, components: Components, *, files: Sequence[RowFile], stop: Stop
) -> ExportStep:
    render = RenderStep(
        derivatives=components.derivatives, sizes=components.recipe.all_names, remake="stale", stop=stop
    )
    return ExportStep(
        store=components.store,
        derivatives=components.derivatives,
        addresses=public_addresses(settings, is_absolute=True),
        files=files,
        render=render if options.render else None,
    )


def _run_options(options: ExportOptions, settings: Settings, components: Components) -> RunOptions:
    """Return the options of the run; they are not stored, because a run that is stopped starts over."""
    return RunOptions(
        store=settings.store,
        prefix=settings.originals_prefix if options.prefix is None else options.prefix,
        sizes=components.recipe.all_names,
        remake="stale",
        since=None,
        retry_failed="",
        through_queue=False,
        profiles=(),
    )


def _run_ended(progress: RunProgress, budget: Budget, *, is_finished: bool) -> RunEnded:
    tally = progress.tally
    return RunEnded(
        is_finished=is_finished,
        is_within_budget=budget.holds(failed=tally.failed, originals=tally.originals),
        exported=tally.changed,
        fresh=tally.fresh,
        due=tally.due,
        failed=tally.failed,
        faults=tally.faults,
        seconds=round(progress.seconds, 3),
    )
