"""A comparison of old and new derivatives, joined from the parts of the service."""

from __future__ import annotations

import shutil
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from anyio.to_thread import run_sync

from proxy.app.wiring import build, live_layout, store_name
from proxy.bulk.compare import report
from proxy.bulk.compare.causes import Tolerance
from proxy.bulk.compare.comparer import Comparer
from proxy.bulk.compare.database import FindingsDatabase
from proxy.bulk.compare.events import ComparisonEnded, ComparisonStarted, describe_comparison
from proxy.bulk.compare.findings import STORE
from proxy.bulk.compare.originals import FileOriginals, SideOriginals, sample
from proxy.bulk.compare.pool import ComparePool
from proxy.bulk.compare.runner import Means, Run
from proxy.bulk.compare.sides import Side, side
from proxy.bulk.options import Budget  # noqa: TC001 - msgspec reads the annotations at run time
from proxy.bulk.reporters import reporting
from proxy.bulk.retry import OutageRetry
from proxy.errors import CannotStart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from proxy.app.wiring import Components
    from proxy.bulk.originals import Originals
    from proxy.bulk.reporters import Reporter
    from proxy.bulk.stop import Stop
    from proxy.keys.layouts import Layout
    from proxy.settings.settings import Settings

UNDERWAY = 2
"""Originals underway at once for each process: one is fetched while another is compared."""

_PROGRESS, _WORK = "progress.db", "work"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """What is asked for; `originals` names where they are listed, or a file of keys, None for the best there is."""

    old: str
    new: str
    originals: str | None
    prefix: str
    sizes: tuple[str, ...]
    sample: int | None
    seed: int
    min_score: float
    max_colour: float
    max_different: Budget
    allow: tuple[str, ...]
    report: Path
    processes: int
    as_json: bool
    restart: bool

    def words(self, store: str) -> bytes:
        """Give what decides what comes of a comparison: it goes on with the same words only."""
        told = (self.old, self.new, self.originals, self.prefix, self.sizes, self.sample, self.seed)
        return msgspec.json.encode((*told, self.min_score, self.max_colour, store))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Both sides, and the one that originals are listed on; None where a file names them."""

    old: Side
    new: Side
    listing: Side | None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Have all of them ready to be read for the length of the block."""
        async with AsyncExitStack() as stack:
            for one in {id(one.store): one for one in (self.old, self.new, self.listing) if one}.values():
                await stack.enter_async_context(one.opened())
            yield


async def compare_all(asked: CompareOptions, settings: Settings, stop: Stop) -> ComparisonEnded:
    """Compare what is asked for and write the report; give what came of it.

    Raises:
        ImagesError: it cannot begin, or not go on.
        OtherComparison: there is an unfinished comparison of something else.
    """
    components, started = build(settings), time.monotonic()
    places = _places(asked, components)
    ledger = FindingsDatabase(asked.report / _PROGRESS, await run_sync(_folder, asked.report))
    head = _head(asked, settings, components)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(places.opened())
        stack.enter_context(ledger.opened(asked.words(head.store), restart=asked.restart))
        reporter = stack.enter_context(reporting(describe_comparison, as_json=asked.as_json, stop=stop))
        reporter.emit(
            ComparisonStarted(old=asked.old, new=asked.new, sizes=head.sizes, resumed_after=ledger.tally().originals)
        )
        outage_retry = _outage_retry(places, stop, reporter)
        comparer = await stack.enter_async_context(_comparer(asked, places, live_layout(settings), sizes=head.sizes))
        run = Run(
            await outage_retry.call(lambda: _originals(asked, places.listing, live_layout(settings))),
            comparer.compare,
            underway=asked.processes * UNDERWAY,
            means=Means(ledger=ledger, outage_retry=outage_retry, stop=stop, reporter=reporter),
        )
        is_finished = await run.go()
        ended = _ended(ledger, asked, is_finished=is_finished, seconds=time.monotonic() - started)
        await run_sync(lambda: report.write(asked.report, ledger, asked=head, ended=ended))
        reporter.emit(ended)
    reporter.check()
    if is_finished:
        ledger.forget()
    return ended


def _head(asked: CompareOptions, settings: Settings, components: Components) -> report.ReportHead:
    return report.ReportHead(
        store=store_name(settings),
        old=asked.old,
        new=asked.new,
        sizes=asked.sizes or components.recipe.names,
        sample=asked.sample,
        seed=asked.seed,
        began=datetime.now(UTC),
    )


@asynccontextmanager
async def _comparer(
    asked: CompareOptions, places: Sources, layout: Layout, *, sizes: tuple[str, ...]
) -> AsyncIterator[Comparer]:
    """Lend what compares an original, its processes started; `layout` has the live names, sides add prefixes."""
    with _workplace(asked.report / _WORK) as workplace:
        processes = ComparePool(most=asked.processes, workplace=workplace)
        try:
            await processes.start()
            yield Comparer(
                old=places.old,
                new=places.new,
                layout=layout,
                sizes=sizes,
                tolerance=Tolerance(score=asked.min_score, colour=asked.max_colour),
                processes=processes,
                workplace=workplace,
                pictures=asked.report / report.PICTURES,
            )
        finally:
            await processes.close()


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """Lend a folder for work in progress, without what a killed comparison has left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder.resolve()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(folder: Path) -> Path:
    pictures = folder / report.PICTURES
    try:
        pictures.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise CannotStart(f"--report: {folder} cannot be made ({fault.strerror}).") from fault
    return pictures


def _places(asked: CompareOptions, components: Components) -> Sources:
    old, new = (side(word, open_store=lambda: components.store) for word in (asked.old, asked.new))
    if asked.originals is None:
        listing = next((one for one in (old, new) if one.can_list), None)
        return Sources(old=old, new=new, listing=listing or side(STORE, open_store=lambda: components.store))
    if Path(asked.originals).is_file():
        return Sources(old=old, new=new, listing=None)
    listing = side(asked.originals, open_store=lambda: components.store)
    if not listing.can_list:
        raise CannotStart("--originals: what is behind an address cannot be listed; name a file of keys instead.")
    return Sources(old=old, new=new, listing=listing)


async def _originals(asked: CompareOptions, listing: Side | None, layout: Layout) -> Originals:
    originals: Originals
    if listing:
        originals = SideOriginals(side=listing, layout=layout, prefix=asked.prefix)
    else:
        originals = FileOriginals(path=Path(asked.originals or ""), layout=layout, prefix=asked.prefix)
    return await sample(originals, asked.sample, seed=asked.seed) if asked.sample else originals


def _outage_retry(places: Sources, stop: Stop, reporter: Reporter) -> OutageRetry:
    async def check() -> None:
        await places.old.check()
        await places.new.check()

    return OutageRetry(check=check, stop=stop, emit=reporter.emit)


def _ended(ledger: FindingsDatabase, asked: CompareOptions, *, is_finished: bool, seconds: float) -> ComparisonEnded:
    tally = ledger.tally()
    unexcused = ledger.unexcused(frozenset(asked.allow))
    return ComparisonEnded(
        is_finished=is_finished,
        is_within_budget=asked.max_different.holds(failed=unexcused, originals=tally.compared),
        originals=tally.originals,
        alike=tally.alike,
        different=tally.different,
        excused=tally.different - unexcused,
        absent=tally.absent,
        causes={cause: sum(sizes.values()) for cause, sizes in ledger.counts().items()},
        seconds=round(seconds, 3),
        report=str(asked.report / report.PAGE),
    )
