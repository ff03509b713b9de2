"""`gf-images reprocess`: reprocessing, built from the components of the service."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations at run time
from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time
from typing import TYPE_CHECKING

import msgspec

from pipeline.size import render_profile
from proxy.app.key_layouts import walked_prefixes
from proxy.app.wiring import build
from proxy.bulk.checkpoint import RunOptions, RunProgress, new_checkpoint
from proxy.bulk.events import RunEnded, RunStarted, Stopping, describe
from proxy.bulk.options import Budget  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.bulk.originals import FailedOriginals, ListedOriginals
from proxy.bulk.outages import OutageRetry
from proxy.bulk.reporters import reporting
from proxy.bulk.reprocess.enqueue import EnqueueStep
from proxy.bulk.reprocess.inspect import Inspector
from proxy.bulk.reprocess.render import RenderStep
from proxy.bulk.reprocess.throttle import Throttle, ThrottledStep
from proxy.bulk.runner import LOOK_AHEAD, Runner
from proxy.bulk.started import started
from proxy.bulk.state_dir import NoState, StateDir
from proxy.derivatives.results import Remake  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.settings.validators import mask_passwords

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.app.wiring import Components
    from proxy.bulk.checkpoint import Checkpoint
    from proxy.bulk.events import OriginalDone
    from proxy.bulk.originals import Originals
    from proxy.bulk.stop import Stop
    from proxy.settings.settings import Settings

UNDERWAY = 4
"""Concurrent originals per render: while one is rendered, the others are inspected, fetched or written back."""

INSPECTED = 16
"""Concurrent originals in a dry run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReprocessOptions:
    """Command options; `each_seconds` is the shortest time between two starts, no `prefix` means ORIGINALS_PREFIX."""

    prefix: str | None
    remake: Remake
    sizes: tuple[str, ...]
    since: datetime | None
    limit: int | None
    retry_failed: Path | None
    max_failures: Budget
    each_seconds: float
    workers: int | None
    dry_run: bool
    through_queue: bool
    as_json: bool
    state: Path
    restart: bool


async def reprocess_all(options: ReprocessOptions, settings: Settings, stop: Stop) -> RunEnded:
    """Reprocess every original that the options select.

    Raises:
        ImagesError: the run cannot start or continue.
        OtherRun: the unfinished run in the folder has other options.
    """
    components = build(settings)
    state = NoState() if options.dry_run else StateDir(options.state)
    async with AsyncExitStack() as stack:
        stack.enter_context(state.locked())
        await stack.enter_async_context(started(components, with_queue=options.through_queue))
        reporter = stack.enter_context(reporting(describe, as_json=options.as_json, stop=stop, limit=options.limit))
        if options.restart:
            state.clear()
        checkpoint = state.load(_run_options(options, settings, components))
        reporter.emit(_run_started(checkpoint))
        progress = RunProgress(checkpoint, state)
        runner = Runner(
            concurrency=_concurrency(options, settings),
            progress=progress,
            outage_retry=OutageRetry(check=_check(options, components), stop=stop, emit=reporter.emit),
            stop=stop,
            reporter=reporter,
            limit=options.limit,
            on_stop=lambda underway: reporter.emit(
                Stopping(
                    detail=stop.reason,
                    advice=stop.advice,
                    in_progress=underway,
                    left_to_workers=options.through_queue,
                )
            ),
        )
        is_finished = await runner.run(
            _originals(options, checkpoint.options, settings, components),
            _step(options, settings, components, checkpoint=checkpoint, stop=stop),
        )
        if runner.has_reached_limit:
            await state.save(new_checkpoint(checkpoint.options, after=progress.after, done=progress.done))
        elif is_finished:
            state.clear()
        failures = state.failures_path(checkpoint)
        ended = _run_ended(progress, options.max_failures, is_finished=is_finished, failures=failures)
        reporter.emit(ended)
    reporter.check()
    return ended


def _run_options(options: ReprocessOptions, settings: Settings, components: Components) -> RunOptions:
    recipe, libvips = components.recipe, components.render_pool.libvips
    sizes = options.sizes or recipe.all_names
    return RunOptions(
        store=settings.store,
        endpoint=mask_passwords(settings.s3_endpoint_url),
        origin=mask_passwords(settings.originals_base_url),
        layout=settings.key_layout,
        shadow=settings.shadow_prefix,
        prefix=settings.originals_prefix if options.prefix is None else options.prefix,
        sizes=sizes,
        remake=options.remake,
        since=options.since,
        retry_failed=str(options.retry_failed.resolve()) if options.retry_failed else "",
        through_queue=options.through_queue,
        profiles=tuple(render_profile(recipe.size(size), among=recipe.sizes, libvips=libvips) for size in sizes),
        where=tuple(f"{one.prefix} {' '.join(one.sizes)} {one.layout or ''}" for one in settings.where)
        or msgspec.UNSET,
    )


def _run_started(checkpoint: Checkpoint) -> RunStarted:
    return RunStarted(
        run=checkpoint.run,
        prefix=checkpoint.options.prefix,
        mode=checkpoint.options.remake,
        sizes=checkpoint.options.sizes,
        after=checkpoint.after,
        resumed=checkpoint.has_started,
    )


def _originals(
    options: ReprocessOptions, run_options: RunOptions, settings: Settings, components: Components
) -> Originals:
    prefixes = walked_prefixes(options.prefix, settings)
    if options.retry_failed:
        return FailedOriginals(path=options.retry_failed, prefixes=prefixes)
    return ListedOriginals(
        store=components.store,
        layout=components.recipe.layout,
        prefixes=prefixes,
        since=run_options.since,
    )


def _step(
    options: ReprocessOptions, settings: Settings, components: Components, *, checkpoint: Checkpoint, stop: Stop
) -> Callable[[str], Awaitable[OriginalDone]]:
    sizes, remake = checkpoint.options.sizes, checkpoint.options.remake
    inspector = Inspector(
        store=components.store,
        recipe=components.recipe,
        sizes=sizes,
        remake=remake,
        libvips=components.render_pool.libvips,
    )
    if options.dry_run:
        return inspector.inspect
    step = RenderStep(derivatives=components.derivatives, sizes=sizes, remake=remake, stop=stop).run
    if options.through_queue:
        step = EnqueueStep(
            jobs=components.jobs,
            inspector=inspector,
            queue_size=settings.queue_size,
            run=checkpoint.run,
            stop=stop,
            read_pause=components.control.paused_since,
        ).run
    if options.each_seconds:
        return ThrottledStep(inspector=inspector, throttle=Throttle(options.each_seconds), step=step, stop=stop).run
    return step


def _check(options: ReprocessOptions, components: Components) -> Callable[[], Awaitable[object]]:
    async def check() -> None:
        await components.store.check()
        await components.scratch.check()
        if options.through_queue:
            await components.jobs.waiting()

    return check


def _concurrency(options: ReprocessOptions, settings: Settings) -> int:
    if options.dry_run:
        return INSPECTED
    return min(settings.queue_size, LOOK_AHEAD) if options.through_queue else settings.workers * UNDERWAY


def _run_ended(progress: RunProgress, budget: Budget, *, is_finished: bool, failures: Path) -> RunEnded:
    tally = progress.tally
    return RunEnded(
        is_finished=is_finished,
        is_within_budget=budget.holds(failed=tally.failed, originals=tally.originals),
        rendered=tally.changed,
        fresh=tally.fresh,
        due=tally.due,
        failed=tally.failed,
        faults=tally.faults,
        seconds=round(progress.seconds, 3),
        failures=str(failures) if tally.failed else "",
    )
