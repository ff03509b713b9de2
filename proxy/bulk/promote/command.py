"""`gf-images promote`: promotion, built from the components of the service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time
from typing import TYPE_CHECKING

from proxy.app.key_layouts import live_layout, walked_prefixes
from proxy.app.wiring import build, store_name
from proxy.bulk.checkpoint import RunOptions, RunProgress, new_checkpoint
from proxy.bulk.compare.verdicts import ComparedSides, read_verdicts
from proxy.bulk.events import RunEnded, RunStarted, describe
from proxy.bulk.originals import ListedOriginals
from proxy.bulk.promote.promotion import NOT_PASSED, RENDERED_SINCE, Promotion, PromotionLayouts
from proxy.bulk.reporters import reporting
from proxy.bulk.started import store_runner
from proxy.bulk.state_dir import NoState
from proxy.keys.shadow import REPLACED, Shadow

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.app.wiring import Components
    from proxy.bulk.stop import Stop
    from proxy.settings.settings import Settings
    from proxy.stores.base import Blob

UNDERWAY = 8
"""Concurrent originals, each with all its sizes: a copy within a store takes 10 ms, mostly waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions:
    """Command options; a `prefix` of None stands for ORIGINALS_PREFIX."""

    prefix: str | None
    sizes: tuple[str, ...]
    undo: bool
    dry_run: bool
    as_json: bool
    report: Path | None = None
    """Folder of the report of a comparison; with None, all derivatives are promoted."""
    allow: tuple[str, ...] = ()
    """Causes of differences with which a derivative is promoted nevertheless."""


async def promote_all(options: PromoteOptions, settings: Settings, stop: Stop) -> RunEnded:
    """Promote every original that the options select, or undo its promotion.

    Raises:
        ImagesError: the run cannot start or continue.
        OtherSides: the report is of other sides or of another store.
    """
    components = build(settings)
    progress = RunProgress(new_checkpoint(_run_options(options, settings, components)), NoState())
    promotion = _promotion(options, settings, components)
    await components.store.start()
    try:
        with reporting(describe, as_json=options.as_json, stop=stop) as reporter:
            reporter.emit(_run_started(options, settings, promotion))
            runner = store_runner(components, concurrency=UNDERWAY, progress=progress, stop=stop, reporter=reporter)
            is_finished = await runner.run(
                ListedOriginals(
                    store=components.store,
                    layout=components.recipe.layout,
                    prefixes=walked_prefixes(options.prefix, settings),
                ),
                promotion.undo if options.undo else promotion.promote,
            )
            ended = _run_ended(progress, is_finished=is_finished, is_undo=options.undo)
            reporter.emit(ended)
    finally:
        await components.store.close()
    reporter.check()
    return ended


def _promotion(options: PromoteOptions, settings: Settings, components: Components) -> Promotion:
    live = live_layout(settings)
    layouts = PromotionLayouts(shadow=components.recipe.layout, live=live, replaced=Shadow(live=live, prefix=REPLACED))
    return Promotion(
        store=components.store,
        layouts=layouts,
        sizes=options.sizes or components.recipe.all_names,
        objection=_objection(options, settings),
        is_dry=options.dry_run,
    )


def _objection(options: PromoteOptions, settings: Settings) -> Callable[[str, str, Blob], str]:
    if options.report is None or options.undo:
        return lambda _original, _size, _new: ""
    compared = ComparedSides(store=store_name(settings), shadow=settings.shadow_prefix)
    verdicts = read_verdicts(options.report, allowed=frozenset(options.allow), compared=compared)

    def objection(original: str, size: str, new: Blob) -> str:
        if not verdicts.has_passed(original, size):
            return NOT_PASSED
        return "" if verdicts.is_of(original, size, new) else RENDERED_SINCE

    return objection


def _prefix(options: PromoteOptions, settings: Settings) -> str:
    return settings.originals_prefix if options.prefix is None else options.prefix


def _run_options(options: PromoteOptions, settings: Settings, components: Components) -> RunOptions:
    """Return the options of the run; they are not stored, because the store shows what has been copied."""
    return RunOptions(
        store=settings.store,
        prefix=_prefix(options, settings),
        sizes=options.sizes or components.recipe.all_names,
        remake="all",
        since=None,
        retry_failed="",
        through_queue=False,
        profiles=(),
    )


def _run_started(options: PromoteOptions, settings: Settings, promotion: Promotion) -> RunStarted:
    action = "undo" if options.undo else "promote"
    return RunStarted(run=action, prefix=_prefix(options, settings), mode=action, sizes=promotion.sizes)


def _run_ended(progress: RunProgress, *, is_finished: bool, is_undo: bool) -> RunEnded:
    tally = progress.tally
    return RunEnded(
        is_finished=is_finished,
        is_within_budget=True,  # promote has no budget
        promoted=None if is_undo else tally.changed,
        undone=tally.changed if is_undo else None,
        fresh=tally.fresh,
        due=tally.due,
        failed=tally.failed,
        faults=tally.faults,
        seconds=round(progress.seconds, 3),
    )
