"""A walk over originals that compares each, some of them underway at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.bulk.compare.events import Differs
from proxy.bulk.events import Counted, Stopping
from proxy.bulk.originals import Walk, count
from proxy.bulk.stop import Stopped
from proxy.errors import GaveUp, ImagesError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.bulk.compare.database import FindingsDatabase
    from proxy.bulk.compare.findings import ComparedOriginal
    from proxy.bulk.originals import Originals
    from proxy.bulk.reporters import Reporter
    from proxy.bulk.retry import OutageRetry
    from proxy.bulk.stop import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run works with: who knows what is over, who outlasts troubles, who ends it, who tells of it."""

    ledger: FindingsDatabase
    outage_retry: OutageRetry
    stop: Stop
    reporter: Reporter


class Run:
    """Sees to every original by `step`, which gives what came of one."""

    def __init__(
        self, originals: Originals, step: Callable[[str], Awaitable[ComparedOriginal]], *, underway: int, means: Means
    ) -> None:
        self._originals = originals
        self._step = step
        self._room = asyncio.Semaphore(underway)
        self._underway: set[str] = set()
        self._ledger = means.ledger
        self._outage_retry = means.outage_retry
        self._stop = means.stop
        self._reporter = means.reporter
        self._tally = means.ledger.tally()
        self._total: int | None = None

    async def go(self) -> bool:
        """Go on until all is over, or the run is stopped and what was underway is over; tell whether all is.

        Raises:
            ImagesError: the originals cannot be listed.
        """
        counting = asyncio.create_task(self._count())
        try:
            async with asyncio.TaskGroup() as group:
                with suppress(Stopped):
                    await self._feed(group)
        except* ImagesError as faults:
            raise faults.exceptions[0] from None
        finally:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
        if self._stop.is_requested:
            self._reporter.emit(Stopping(detail=self._stop.reason, underway=0))
        return not self._stop.is_requested

    async def _feed(self, group: asyncio.TaskGroup) -> None:
        walk = Walk(self._originals)
        while not self._stop.is_requested and (key := await self._outage_retry.call(walk.next)) is not None:
            if key in self._underway or await self._ledger.knows(key):
                continue
            await self._room.acquire()
            self._underway.add(key)
            group.create_task(self._see_to(key))

    async def _see_to(self, key: str) -> None:
        try:
            if self._stop.is_requested:
                return
            outcome = await self._outage_retry.call(lambda: self._step(key))
            await self._ledger.close(outcome)
        except Stopped:
            return  # begun and not over: the next run sees to it
        except GaveUp as fault:
            self._stop.request(str(fault))
            return
        finally:
            self._underway.discard(key)
            self._room.release()
        self._tell(outcome)

    def _tell(self, outcome: ComparedOriginal) -> None:
        self._tally.add(outcome)
        for finding in outcome.findings:
            why = {cause.code: cause.detail for cause in finding.causes}
            self._reporter.emit(Differs(key=finding.key, size=finding.size, why=why))
        self._reporter.update(self._tally, self._total)

    async def _count(self) -> None:
        with suppress(ImagesError):  # whoever walks tells of it
            self._total = await count(self._originals)
            self._reporter.emit(Counted(originals=self._total))
            self._reporter.update(self._tally, self._total)
