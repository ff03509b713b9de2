"""A run over many originals: some at a time, in order, until all are over or something ends it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import BY_CODE
from proxy.bulk.events import Counted, Stopping
from proxy.bulk.originals import Walk, count
from proxy.bulk.reprocess.render import failed
from proxy.bulk.stop import Stopped
from proxy.errors import BadKey, GaveUp, ImagesError, NotFound, TooManyBytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.bulk.events import OriginalDone
    from proxy.bulk.ledger import RunProgress
    from proxy.bulk.originals import Originals
    from proxy.bulk.reporters import Reporter
    from proxy.bulk.retry import OutageRetry
    from proxy.bulk.stop import Stop

LOOK_AHEAD = 256
"""Originals that are met while the oldest of them is not over: as many keys as a checkpoint may have to name."""

IN_A_ROW = 10
"""Failures one after another, none of them the original's own fault, after which going on makes no sense."""

ITS_OWN_FAULT = frozenset({*BY_CODE, TooManyBytes.code, NotFound.code, BadKey.code})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """How many originals are underway at once, finished here or by others; how many that need something are seen to."""

    underway: int
    limit: int | None
    ends_elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run works with: who tells of it, what ends it, what outlasts troubles, what knows what is over."""

    ledger: RunProgress
    outage_retry: OutageRetry
    stop: Stop
    reporter: Reporter


class Runner:
    """Sees to every original by `step`, which gives what came of one, or raises that store or queue are away."""

    def __init__(
        self, originals: Originals, step: Callable[[str], Awaitable[OriginalDone]], *, bounds: RunLimits, means: Means
    ) -> None:
        self._originals = originals
        self._step = step
        self._bounds = bounds
        self._ledger = means.ledger
        self._outage_retry = means.outage_retry
        self._stop = means.stop
        self._reporter = means.reporter
        self._underway: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._total: int | None = None
        self._in_a_row = 0
        self._is_announced = False
        self.has_reached_limit = False
        """Whether it ended because so many as may were seen to; there may be more."""

    async def go(self) -> bool:
        """Go on until all is over, or the run is stopped and what was underway is over; tell whether all is.

        Raises:
            ImagesError: the originals cannot be listed.
        """
        feeding = asyncio.create_task(self._feed())
        beside = [asyncio.create_task(self._count()), asyncio.create_task(self._end_when_told(feeding))]
        try:
            await asyncio.wait({feeding})
            outcomes = await asyncio.gather(*self._underway, return_exceptions=True)
        finally:
            await _cancel(feeding, *beside, *self._underway)
            self._announce()
        if fault := next((one for one in outcomes if isinstance(one, BaseException)), None):
            raise fault
        await self._ledger.save()
        has_fed_all = not feeding.cancelled() and feeding.result()
        return has_fed_all and not len(self._ledger)

    async def _feed(self) -> bool:
        """Begin one original after another; tell whether there are no more to begin."""
        walk = Walk(self._originals, after=self._ledger.after)
        with suppress(Stopped):
            while (key := await self._outage_retry.call(walk.next)) is not None:
                if not await self._has_room():
                    self.has_reached_limit = True
                    return True
                if self._ledger.begin(key):
                    self._begin(key)
        return not self._stop.is_requested

    async def _has_room(self) -> bool:
        """Wait until one more original may be begun; False when there have been enough."""
        limit = self._bounds.limit
        while True:
            self._changed.clear()
            needed, underway = self._ledger.tally.needed, len(self._underway)
            if limit is not None and needed >= limit:
                return False
            is_within = limit is None or needed + underway < limit
            if is_within and underway < self._bounds.underway and len(self._ledger) < LOOK_AHEAD:
                return True
            await self._changed.wait()

    def _begin(self, key: str) -> None:
        task = asyncio.create_task(self._see_to(key))
        self._underway.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            self._stop.request("A fault of ours.")  # it is raised once the others are over
        else:
            self._underway.discard(task)
        self._changed.set()

    async def _see_to(self, key: str) -> None:
        try:
            original = await self._outcome(key)
            await self._ledger.close(original)
        except Stopped:
            return  # begun and not over: the next run begins with it
        except GaveUp as fault:
            self._stop.request(str(fault))
            return
        self._reporter.emit(original)
        self._reporter.update(self._ledger.tally, self._total)
        self._judge(original)

    async def _outcome(self, key: str) -> OriginalDone:
        try:
            return await self._outage_retry.call(lambda: self._step(key))
        except GaveUp:
            raise
        except ImagesError as fault:
            return failed(key, fault)

    def _judge(self, original: OriginalDone) -> None:
        if original.result == "failed" and original.code not in ITS_OWN_FAULT:
            self._in_a_row += 1
        elif original.result != "fresh":  # which needs no more of us than looking
            self._in_a_row = 0
        if self._in_a_row >= IN_A_ROW:
            self._stop.request(
                f"{IN_A_ROW} originals in a row failed by no fault of theirs, the last so: {original.detail}"
            )

    async def _count(self) -> None:
        with suppress(ImagesError):  # whoever walks tells of it
            # Not the whole listing: what an earlier run with a limit has seen to is not this one's.
            known = self._ledger.tally.originals - len(self._ledger.done)
            total = known + await count(self._originals, after=self._ledger.after)
            self._total = total if self._bounds.limit is None else min(total, self._bounds.limit)
            self._reporter.emit(Counted(originals=total))
            self._reporter.update(self._ledger.tally, self._total)

    async def _end_when_told(self, feeding: asyncio.Task[bool]) -> None:
        await self._stop.wait()
        feeding.cancel()  # first: whoever is told may raise
        self._announce()

    def _announce(self) -> None:
        """Tell once that the run is stopped, if it is."""
        if self._stop.is_requested and not self._is_announced:
            self._is_announced = True
            self._reporter.emit(
                Stopping(
                    detail=self._stop.reason,
                    underway=len(self._underway),
                    ends_elsewhere=self._bounds.ends_elsewhere,
                )
            )


async def _cancel(*tasks: asyncio.Task[bool] | asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
