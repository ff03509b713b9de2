"""A run over many originals, joined from the parts of the service."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations at run time
from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time
from typing import TYPE_CHECKING

from proxy.app.wiring import build
from proxy.bulk.checkpoint import RunOptions, new_checkpoint
from proxy.bulk.events import RunEnded, RunStarted, describe
from proxy.bulk.ledger import RunProgress
from proxy.bulk.options import Budget  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.bulk.originals import FailedOriginals, ListedOriginals
from proxy.bulk.reporters import reporting
from proxy.bulk.reprocess.enqueue import EnqueueStep
from proxy.bulk.reprocess.inspect import Inspector
from proxy.bulk.reprocess.render import RenderStep
from proxy.bulk.reprocess.throttle import Throttle, ThrottledStep
from proxy.bulk.retry import OutageRetry
from proxy.bulk.runner import LOOK_AHEAD, Means, RunLimits, Runner
from proxy.bulk.state_dir import NoState, StateDir
from proxy.derivatives.results import Remake  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.settings.validators import mask_passwords

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from proxy.app.wiring import Components
    from proxy.bulk.checkpoint import Checkpoint
    from proxy.bulk.events import OriginalDone
    from proxy.bulk.originals import Originals
    from proxy.bulk.stop import Stop
    from proxy.settings.settings import Settings

UNDERWAY = 4
"""Originals underway at once for each that is rendered: those beside it are looked at, fetched or written back."""

LOOKED_AT = 16
"""Originals that are looked at at once where nothing is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReprocessOptions:
    """What a run is asked for; `each_seconds` is the least time between two beginnings, None is no prefix."""

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


async def reprocess_all(asked: ReprocessOptions, settings: Settings, stop: Stop) -> RunEnded:
    """See to every original that is asked for; give what came of them.

    Raises:
        ImagesError: it cannot begin, or not go on.
        OtherRun: there is an unfinished run that was asked for something else.
    """
    components = build(settings)
    records = NoState() if asked.dry_run else StateDir(asked.state)
    async with AsyncExitStack() as stack:
        stack.enter_context(records.held())
        await stack.enter_async_context(_opened(components, with_queue=asked.through_queue))
        reporter = stack.enter_context(reporting(describe, as_json=asked.as_json, stop=stop, limit=asked.limit))
        if asked.restart:
            records.forget()
        place = records.read_or_begin(_words(asked, settings, components))
        reporter.emit(_began(place))
        ledger = RunProgress(place, records)
        outage_retry = OutageRetry(check=_check(asked, components), stop=stop, emit=reporter.emit)
        run = Runner(
            _originals(asked, place.words, components),
            _step(asked, settings, components, place, stop),
            bounds=_bounds(asked, settings),
            means=Means(ledger=ledger, outage_retry=outage_retry, stop=stop, reporter=reporter),
        )
        is_finished = await run.go()
        if run.has_reached_limit:
            await records.save(new_checkpoint(place.words, after=ledger.after, done=ledger.done))
        elif is_finished:
            records.forget()
        ended = _ended(ledger, asked.max_failures, is_finished=is_finished, failures=records.failures(place))
        reporter.emit(ended)
    reporter.check()
    return ended


@asynccontextmanager
async def _opened(components: Components, *, with_queue: bool) -> AsyncIterator[None]:
    """Start what a run needs of the parts, and stop it at the end."""
    async with AsyncExitStack() as stack:
        stack.enter_context(components.scratch.opened())
        await components.store.start()
        stack.push_async_callback(components.store.close)
        if with_queue:
            await components.queue.connect()
            stack.push_async_callback(components.queue.disconnect)
        stack.push_async_callback(components.render_pool.close)
        await components.render_pool.start()
        yield


def _words(asked: ReprocessOptions, settings: Settings, components: Components) -> RunOptions:
    sizes = asked.sizes or components.recipe.names
    return RunOptions(
        store=settings.store,
        endpoint=mask_passwords(settings.s3_endpoint_url),
        origin=mask_passwords(settings.originals_base_url),
        layout=settings.key_layout,
        shadow=settings.shadow_prefix,
        prefix=settings.originals_prefix if asked.prefix is None else asked.prefix,
        sizes=sizes,
        remake=asked.remake,
        since=asked.since,
        retry_failed=str(asked.retry_failed.resolve()) if asked.retry_failed else "",
        through_queue=asked.through_queue,
        profiles=tuple(components.recipe.profile(size, libvips=components.render_pool.libvips) for size in sizes),
    )


def _began(place: Checkpoint) -> RunStarted:
    words = place.words
    return RunStarted(
        run=place.run,
        prefix=words.prefix,
        remake=words.remake,
        sizes=words.sizes,
        after=place.after,
        goes_on=place.is_begun,
    )


def _originals(asked: ReprocessOptions, words: RunOptions, components: Components) -> Originals:
    if asked.retry_failed:
        return FailedOriginals(path=asked.retry_failed, prefix=words.prefix)
    return ListedOriginals(
        store=components.store, layout=components.recipe.layout, prefix=words.prefix, since=words.since
    )


def _step(
    asked: ReprocessOptions, settings: Settings, components: Components, place: Checkpoint, stop: Stop
) -> Callable[[str], Awaitable[OriginalDone]]:
    words = place.words
    inspector = Inspector(
        store=components.store,
        recipe=components.recipe,
        sizes=words.sizes,
        remake=words.remake,
        libvips=components.render_pool.libvips,
    )
    if asked.dry_run:
        return inspector.inspect
    step = RenderStep(derivatives=components.derivatives, sizes=words.sizes, remake=words.remake, stop=stop).make
    if asked.through_queue:
        step = EnqueueStep(
            jobs=components.jobs, inspector=inspector, queue_size=settings.queue_size, run=place.run, stop=stop
        ).run
    if asked.each_seconds:
        return ThrottledStep(inspector=inspector, throttle=Throttle(asked.each_seconds), step=step, stop=stop).run
    return step


def _check(asked: ReprocessOptions, components: Components) -> Callable[[], Awaitable[object]]:
    async def check() -> None:
        await components.store.check()
        await components.scratch.check()
        if asked.through_queue:
            await components.jobs.waiting()

    return check


def _bounds(asked: ReprocessOptions, settings: Settings) -> RunLimits:
    underway = settings.workers * UNDERWAY
    if asked.through_queue:
        underway = min(settings.queue_size, LOOK_AHEAD)
    if asked.dry_run:
        underway = LOOKED_AT
    return RunLimits(underway=underway, limit=asked.limit, ends_elsewhere=asked.through_queue)


def _ended(ledger: RunProgress, budget: Budget, *, is_finished: bool, failures: Path) -> RunEnded:
    tally = ledger.tally
    return RunEnded(
        is_finished=is_finished,
        is_within_budget=budget.holds(failed=tally.failed, originals=tally.originals),
        made=tally.made,
        fresh=tally.fresh,
        due=tally.due,
        failed=tally.failed,
        faults=tally.faults,
        seconds=round(ledger.seconds, 3),
        failures=str(failures) if tally.failed else "",
    )
