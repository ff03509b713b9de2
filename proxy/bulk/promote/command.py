"""A promotion of many originals, joined from the parts of the service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time
from typing import TYPE_CHECKING

from proxy.app.wiring import build, live_layout, store_name
from proxy.bulk.checkpoint import RunOptions, new_checkpoint
from proxy.bulk.compare.verdicts import ComparedSides, read_verdicts
from proxy.bulk.events import RunEnded, RunStarted, describe
from proxy.bulk.ledger import RunProgress
from proxy.bulk.originals import ListedOriginals
from proxy.bulk.promote.promotion import MADE_ANEW, NOT_PASSED, Promotion, PromotionLayouts
from proxy.bulk.reporters import reporting
from proxy.bulk.retry import OutageRetry
from proxy.bulk.runner import Means, RunLimits, Runner
from proxy.bulk.state_dir import NoState
from proxy.keys.shadow import REPLACED, Shadow

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.app.wiring import Components
    from proxy.bulk.stop import Stop
    from proxy.settings.settings import Settings
    from proxy.stores.base import Blob

UNDERWAY = 8
"""Originals underway at once, each with all its sizes: a copy within a store takes some 10 ms, most of it waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions:
    """What a promotion is asked for; None is no prefix."""

    prefix: str | None
    sizes: tuple[str, ...]
    undo: bool
    dry_run: bool
    as_json: bool
    report: Path | None = None
    """Of a comparison; None promotes all."""
    allow: tuple[str, ...] = ()
    """Causes of differences with which a derivative passes all the same."""


async def promote_all(asked: PromoteOptions, settings: Settings, stop: Stop) -> RunEnded:
    """Promote every original that is asked for, or undo it; give what came of them.

    Raises:
        ImagesError: it cannot begin, or not go on.
        OtherSides: the report is of something else.
    """
    components = build(settings)
    ledger = RunProgress(new_checkpoint(_words(asked, settings, components)), NoState())
    promotion = _promotion(asked, settings, components)
    await components.store.start()
    try:
        with reporting(describe, as_json=asked.as_json, stop=stop) as reporter:
            reporter.emit(_began(asked, settings, promotion))
            run = Runner(
                ListedOriginals(
                    store=components.store, layout=components.recipe.layout, prefix=_prefix(asked, settings)
                ),
                promotion.undo if asked.undo else promotion.promote,
                bounds=RunLimits(underway=UNDERWAY, limit=None),
                means=Means(
                    ledger=ledger,
                    outage_retry=OutageRetry(check=components.store.check, stop=stop, emit=reporter.emit),
                    stop=stop,
                    reporter=reporter,
                ),
            )
            ended = _ended(ledger, is_finished=await run.go(), is_undo=asked.undo)
            reporter.emit(ended)
    finally:
        await components.store.close()
    reporter.check()
    return ended


def _promotion(asked: PromoteOptions, settings: Settings, components: Components) -> Promotion:
    live, sizes = live_layout(settings), components.recipe.names
    layouts = PromotionLayouts(
        shadow=components.recipe.layout, live=live, replaced=Shadow(live=live, prefix=REPLACED, sizes=sizes)
    )
    return Promotion(
        store=components.store,
        layouts=layouts,
        sizes=asked.sizes or sizes,
        objection=_objection(asked, settings),
        is_dry=asked.dry_run,
    )


def _objection(asked: PromoteOptions, settings: Settings) -> Callable[[str, str, Blob], str]:
    if asked.report is None or asked.undo:
        return lambda _original, _size, _new: ""
    compared = ComparedSides(store=store_name(settings), shadow=settings.shadow_prefix)
    verdicts = read_verdicts(asked.report, allowed=frozenset(asked.allow), compared=compared)

    def objection(original: str, size: str, new: Blob) -> str:
        if not verdicts.has_passed(original, size):
            return NOT_PASSED
        return "" if verdicts.is_of(original, size, new) else MADE_ANEW

    return objection


def _prefix(asked: PromoteOptions, settings: Settings) -> str:
    return settings.originals_prefix if asked.prefix is None else asked.prefix


def _words(asked: PromoteOptions, settings: Settings, components: Components) -> RunOptions:
    """Tell what is asked for; nothing of it is kept, as what has been copied is told from the store."""
    return RunOptions(
        store=settings.store,
        prefix=_prefix(asked, settings),
        sizes=asked.sizes or components.recipe.names,
        remake="all",
        since=None,
        retry_failed="",
        through_queue=False,
        profiles=(),
    )


def _began(asked: PromoteOptions, settings: Settings, promotion: Promotion) -> RunStarted:
    what = "undo" if asked.undo else "promote"
    return RunStarted(run=what, prefix=_prefix(asked, settings), remake=what, sizes=promotion.sizes)


def _ended(ledger: RunProgress, *, is_finished: bool, is_undo: bool) -> RunEnded:
    tally = ledger.tally
    return RunEnded(
        is_finished=is_finished,
        is_within_budget=True,  # there is none
        did="undone" if is_undo else "promoted",
        made=tally.made,
        fresh=tally.fresh,
        due=tally.due,
        failed=tally.failed,
        faults=tally.faults,
        seconds=round(ledger.seconds, 3),
    )
