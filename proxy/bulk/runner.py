"""The loop of all bulk commands: it runs a step over originals concurrently until all are done or the run stops."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from proxy.bulk.events import Counted
from proxy.bulk.originals import Walk, count
from proxy.bulk.stop import Stopped
from proxy.errors import GaveUp, ImagesError, UnexpectedError, UnreadableFolders

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from proxy.bulk.events import Event
    from proxy.bulk.originals import Originals
    from proxy.bulk.outages import OutageRetry
    from proxy.bulk.reporters import Reporter, Tally
    from proxy.bulk.stop import Stop

log = structlog.get_logger(__name__)

Outcome = TypeVar("Outcome")

LOOK_AHEAD = 256
"""Originals that may be started while the oldest of them is not done: the most keys that a checkpoint must list."""


class Progress(Protocol[Outcome]):
    """The progress of a run."""

    @property
    def tally(self) -> Tally:
        """Return the counts so far."""
        ...

    @property
    def after(self) -> str:
        """Return the key after which the listing starts."""
        ...

    @property
    def listed_before(self) -> int:
        """Return how many originals of this run precede the listing."""
        ...

    @property
    def stop_reason(self) -> str:
        """Return why the run must stop; empty while it may continue."""
        ...

    def __len__(self) -> int:
        """Return how many originals were started, from the first one that is not done."""
        ...

    async def begin(self, key: str) -> bool:
        """Start an original; return False if it is done or in progress."""
        ...

    def failure(self, key: str, error: ImagesError) -> Outcome:
        """Return the outcome of an original whose step failed, or raise the error if it ends the run."""
        ...

    async def record(self, outcome: Outcome) -> Sequence[Event]:
        """Store an outcome durably; return the events that report it."""
        ...

    async def save(self) -> None:
        """Store durably whatever is not stored yet."""
        ...


class Runner(Generic[Outcome]):
    """A runner of a step over originals, `concurrency` at a time; with a `limit`, until that many were not fresh.

    `on_stop` is called once if the run is stopped, with the number of originals in progress at that moment.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        progress: Progress[Outcome],
        outage_retry: OutageRetry,
        stop: Stop,
        reporter: Reporter,
        limit: int | None = None,
        on_stop: Callable[[int], None] = lambda _underway: None,
    ) -> None:
        self._concurrency = concurrency
        self._progress = progress
        self._outage_retry = outage_retry
        self._stop = stop
        self._reporter = reporter
        self._limit = limit
        self._on_stop = on_stop
        self._underway: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._total: int | None = None
        self._is_stop_announced = False
        self.has_reached_limit = False
        """Whether the run ended at the limit; more originals may follow."""

    async def run(self, originals: Originals, step: Callable[[str], Awaitable[Outcome]]) -> bool:
        """Run the step over every original; once stopped, finish those in progress and start no more.

        Returns:
            Whether all originals are done.

        Raises:
            ImagesError: the originals cannot be listed, or a step failed with an error that ends the run.
        """
        beginning = asyncio.create_task(self._begin_all(originals, step))
        others = asyncio.create_task(self._count(originals)), asyncio.create_task(self._cancel_on_stop(beginning))
        try:
            await asyncio.wait({beginning})
            outcomes = await asyncio.gather(*self._underway, return_exceptions=True)
        finally:
            await _cancel(beginning, *others, *self._underway)
            self._announce_stop()
        if fault := next((one for one in outcomes if isinstance(one, BaseException)), None):
            raise fault
        await self._progress.save()
        has_begun_all = not beginning.cancelled() and beginning.result()
        return has_begun_all and not len(self._progress)

    async def _begin_all(self, originals: Originals, step: Callable[[str], Awaitable[Outcome]]) -> bool:
        """Start one original after another; return whether all were started."""
        walk = Walk(originals, after=self._progress.after)
        with suppress(Stopped):
            try:
                while (key := await self._outage_retry.call(walk.next)) is not None:
                    if not await self._wait_for_room():
                        self.has_reached_limit = True
                        return True
                    if await self._progress.begin(key):
                        self._begin(key, step)
            except UnreadableFolders as fault:  # it lists everything else
                await self._fail_folders(fault)
        return not self._stop.is_requested

    async def _fail_folders(self, fault: UnreadableFolders) -> None:
        """Count each folder that cannot be read as an original that failed."""
        for folder in fault.folders:
            if await self._progress.begin(folder):
                await self._record(self._progress.failure(folder, UnreadableFolders([folder])))

    async def _wait_for_room(self) -> bool:
        """Wait until one more original may start; return False once the limit is reached."""
        while True:
            self._changed.clear()
            needed, underway = self._progress.tally.needed, len(self._underway)
            if self._limit is not None and needed >= self._limit:
                return False
            is_within_limit = self._limit is None or needed + underway < self._limit
            if is_within_limit and underway < self._concurrency and len(self._progress) < LOOK_AHEAD:
                return True
            await self._changed.wait()

    def _begin(self, key: str, step: Callable[[str], Awaitable[Outcome]]) -> None:
        task = asyncio.create_task(self._run_step(key, step))
        self._underway.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            self._stop.request("Internal error.")  # raised once the others are done
        else:
            self._underway.discard(task)
        self._changed.set()

    async def _run_step(self, key: str, step: Callable[[str], Awaitable[Outcome]]) -> None:
        try:
            outcome = await self._outcome(key, step)
        except Stopped:
            return  # not done: the next run starts with it
        except GaveUp as fault:
            self._stop.request(str(fault))
            return
        await self._record(outcome)

    async def _record(self, outcome: Outcome) -> None:
        for event in await self._progress.record(outcome):
            self._reporter.emit(event)
        self._reporter.update(self._progress.tally, self._total)
        if self._progress.stop_reason:
            self._stop.request(self._progress.stop_reason)

    async def _outcome(self, key: str, step: Callable[[str], Awaitable[Outcome]]) -> Outcome:
        try:
            return await self._outage_retry.call(lambda: step(key))
        except (GaveUp, Stopped):
            raise
        except ImagesError as fault:
            return self._progress.failure(key, fault)
        except Exception as error:
            log.exception("unexpected_error", key=key)
            return self._progress.failure(key, UnexpectedError(f"An unexpected {type(error).__name__}: {error}"))

    async def _count(self, originals: Originals) -> None:
        with suppress(ImagesError):  # the walk reports it
            before, after = self._progress.listed_before, self._progress.after
            total = before + await count(originals, after=after)
            self._total = total if self._limit is None else min(total, self._limit)
            self._reporter.emit(Counted(originals=total))
            self._reporter.update(self._progress.tally, self._total)

    async def _cancel_on_stop(self, beginning: asyncio.Task[bool]) -> None:
        await self._stop.wait()
        beginning.cancel()  # first: the announcement may raise
        self._announce_stop()

    def _announce_stop(self) -> None:
        if self._stop.is_requested and not self._is_stop_announced:
            self._is_stop_announced = True
            self._on_stop(len(self._underway))


async def _cancel(*tasks: asyncio.Task[bool] | asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
