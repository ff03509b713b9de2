"""`gf-images compare`: a comparison, built from the components of the service."""

from __future__ import annotations

import re
import shutil
import time
import uuid
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from anyio.to_thread import run_sync

from proxy.app.key_layouts import live_layout
from proxy.app.wiring import build, store_name
from proxy.bulk.compare import report
from proxy.bulk.compare.causes import Tolerance
from proxy.bulk.compare.compare_pool import ComparePool
from proxy.bulk.compare.comparer import Comparer
from proxy.bulk.compare.comparison_events import ComparisonEnded, ComparisonStarted, describe_comparison
from proxy.bulk.compare.findings import STORE
from proxy.bulk.compare.findings_database import FindingsDatabase
from proxy.bulk.compare.progress import ComparisonProgress
from proxy.bulk.compare.sides import Side, open_side
from proxy.bulk.compare.verdicts import DOCUMENT
from proxy.bulk.events import Stopping
from proxy.bulk.options import BadOption, Budget
from proxy.bulk.originals import FileOriginals, ListedOriginals, sample
from proxy.bulk.outages import OutageRetry
from proxy.bulk.own_folder import FolderKind, claim
from proxy.bulk.reporters import reporting
from proxy.bulk.runner import Runner
from proxy.settings.folders import missing_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pipeline.protocol import SandboxLevel
    from proxy.app.wiring import Components
    from proxy.bulk.originals import Originals
    from proxy.bulk.stop import Stop
    from proxy.keys.layouts import Layout
    from proxy.settings.settings import Settings
    from proxy.stores.base import Store

UNDERWAY = 2
"""Concurrent originals per process: one is fetched while another is compared."""

_DATABASE, _WORK = "progress.db", "work"

_RUN: Final = re.compile(r"run-[0-9a-f]{32}")
"""Folders in `work`, one of each comparison."""

_REPORT: Final = FolderKind(
    name="comparison",
    option="--report",
    known=re.compile(
        rf"progress\.db(-wal|-shm|-journal)?|(index|report)\.new|{report.PAGE}|{DOCUMENT}|{report.PICTURES}/|{_WORK}/"
        rf"|{report.PICTURES}/{report.PICTURE.pattern}"
        rf"|{_WORK}/((tmp[a-z0-9_]{{8}}|warm-up-[0-9a-f]{{16}})/|vips-).*"  # of a version that left no marker
    ),
    is_older=lambda folder: any((folder / name).exists() for name in (_DATABASE, DOCUMENT)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """Command options; `originals` is a side, a file of keys, or None for the first side that can be listed."""

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

    def fingerprint(self, store: str) -> bytes:
        """Return the encoded options that decide the findings; a comparison resumes only with the same ones."""
        selection = (self.old, self.new, self.originals, self.prefix, self.sizes, self.sample, self.seed)
        return msgspec.json.encode((*selection, self.min_score, self.max_colour, store))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Both sides, and the side that lists the originals, which is None if a file lists them."""

    old: Side
    new: Side
    listing: Side | None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Yield with all sides open."""
        async with AsyncExitStack() as stack:
            sides = {id(one.store): one for one in (self.old, self.new, self.listing) if one}
            for one in sides.values():
                await stack.enter_async_context(one.opened())
            behind = {id(one.known): one.known for one in (self.old, self.new) if one.known}
            for store in (behind[number] for number in behind.keys() - sides.keys()):
                await store.start()
                stack.push_async_callback(store.close)
            yield

    async def check(self) -> None:
        """Raise an error unless both sides can be read."""
        await self.old.check()
        await self.new.check()


async def compare_all(options: CompareOptions, settings: Settings, stop: Stop) -> ComparisonEnded:
    """Compare the derivatives that the options select, and write the report.

    Raises:
        BadOption: an option names something that cannot be used.
        ImagesError: the comparison cannot start or continue.
        OtherComparison: the unfinished comparison in the folder has other options.
    """
    components, started = build(settings), time.monotonic()
    sources = _sources(options, components, settings)
    database = FindingsDatabase(options.report / _DATABASE, await run_sync(_create_folders, options.report))
    head = _head(options, settings, components)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(sources.opened())
        stack.enter_context(database.opened(options.fingerprint(head.store), restart=options.restart))
        reporter = stack.enter_context(reporting(describe_comparison, as_json=options.as_json, stop=stop))
        progress = ComparisonProgress(database, sizes=head.sizes)
        reporter.emit(
            ComparisonStarted(
                old=options.old, new=options.new, sizes=head.sizes, already_compared=progress.tally.originals
            )
        )
        outage_retry = OutageRetry(check=sources.check, stop=stop, emit=reporter.emit)
        layout = live_layout(settings)
        comparer = await stack.enter_async_context(
            _comparer(options, sources, layout, sizes=head.sizes, sandbox=settings.sandbox)
        )
        runner = Runner(
            concurrency=options.processes * UNDERWAY,
            progress=progress,
            outage_retry=outage_retry,
            stop=stop,
            reporter=reporter,
            on_stop=lambda underway: reporter.emit(
                Stopping(detail=stop.reason, advice=stop.advice, in_progress=underway)
            ),
        )
        originals = await outage_retry.call(lambda: _originals(options, sources.listing, layout))
        is_finished = await runner.run(originals, comparer.compare) and not stop.is_requested

        ended = _comparison_ended(database, options, is_finished=is_finished, seconds=time.monotonic() - started)
        await run_sync(lambda: report.write(options.report, database, head=head, ended=ended))
        reporter.emit(ended)
    reporter.check()
    if is_finished:
        database.clear()
    return ended


def _head(options: CompareOptions, settings: Settings, components: Components) -> report.ReportHead:
    return report.ReportHead(
        store=store_name(settings),
        old=options.old,
        new=options.new,
        sizes=options.sizes or components.recipe.all_names,
        sample=options.sample,
        seed=options.seed,
        began=datetime.now(UTC),
    )


@asynccontextmanager
async def _comparer(
    options: CompareOptions, sources: Sources, layout: Layout, *, sizes: tuple[str, ...], sandbox: SandboxLevel
) -> AsyncIterator[Comparer]:
    """Yield a comparer whose processes run; `layout` is the layout of the live names."""
    with _work_folder(options.report / _WORK) as work_folder:
        processes = ComparePool(most=options.processes, work_folder=work_folder, sandbox=sandbox)
        try:
            await processes.start()
            yield Comparer(
                old=sources.old,
                new=sources.new,
                layout=layout,
                sizes=sizes,
                tolerance=Tolerance(score=options.min_score, colour=options.max_colour),
                processes=processes,
                work_folder=work_folder,
                pictures=options.report / report.PICTURES,
            )
        finally:
            await processes.close()


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """Create a folder for temporary files in `folder`, and remove those of comparisons that were killed."""
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        if _RUN.fullmatch(left.name):
            shutil.rmtree(left, ignore_errors=True)
    own = folder.resolve() / f"run-{uuid.uuid4().hex}"
    own.mkdir()
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with suppress(OSError):  # it has other files
            folder.rmdir()


def _create_folders(folder: Path) -> Path:
    claim(folder, _REPORT)
    pictures = folder / report.PICTURES
    try:
        pictures.mkdir(exist_ok=True)
    except OSError as fault:
        raise BadOption(f"--report: cannot create {pictures} ({fault.strerror}). Use a writable folder.") from fault
    return pictures


def _sources(options: CompareOptions, components: Components, settings: Settings) -> Sources:
    used: list[Store] = []

    def open_store() -> Store:
        used.append(components.store)
        return components.store

    sources = _named_sources(options, open_store, public_base_url=settings.public_base_url)
    if used and (fault := missing_store(settings.store)):
        raise BadOption(f"STORE: {fault}.")
    return sources


def _named_sources(options: CompareOptions, open_store: Callable[[], Store], *, public_base_url: str) -> Sources:
    old, new = (
        _existing(option, open_side(name, open_store=open_store, public_base_url=public_base_url))
        for option, name in (("--old", options.old), ("--new", options.new))
    )
    if options.originals is None:
        listing = next((one for one in (old, new) if one.can_list), None)
        return Sources(old=old, new=new, listing=listing or open_side(STORE, open_store=open_store))
    if Path(options.originals).is_file():
        return Sources(old=old, new=new, listing=None)
    listing = _existing("--originals", open_side(options.originals, open_store=open_store))
    if not listing.can_list:
        raise BadOption(f"--originals: the URL {options.originals} cannot be listed. Use a file with one key per line.")
    return Sources(old=old, new=new, listing=listing)


def _existing(option: str, side: Side) -> Side:
    if side.folder and not side.folder.is_dir():
        or_file = "an existing file with one key per line, " if option == "--originals" else ""
        raise BadOption(
            f"{option}: the folder {side.folder} does not exist. Use an existing folder, {or_file}{STORE}KEYS for a "
            "key prefix of the store, or a URL."
        )
    return side


async def _originals(options: CompareOptions, listing: Side | None, layout: Layout) -> Originals:
    originals: Originals
    if listing:
        originals = ListedOriginals(store=listing, layout=layout, prefixes=(options.prefix,))
    else:
        originals = FileOriginals(path=Path(options.originals or ""), layout=layout, prefixes=(options.prefix,))
    return await sample(originals, options.sample, seed=options.seed) if options.sample else originals


def _comparison_ended(
    database: FindingsDatabase, options: CompareOptions, *, is_finished: bool, seconds: float
) -> ComparisonEnded:
    tally = database.tally()
    unexcused = database.unexcused(frozenset(options.allow))
    return ComparisonEnded(
        is_finished=is_finished,
        is_within_budget=options.max_different.holds(failed=unexcused, originals=tally.compared),
        originals=tally.originals,
        alike=tally.alike,
        different=tally.different,
        excused=tally.different - unexcused,
        absent=tally.absent,
        causes={cause: sum(sizes.values()) for cause, sizes in database.counts().items()},
        seconds=round(seconds, 3),
        report=str(options.report / report.PAGE),
    )
