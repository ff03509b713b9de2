"""An original's derivatives made here and now, by the code of page views and jobs."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import Refused
from proxy.bulk.events import OriginalDone
from proxy.bulk.retry import AWAY
from proxy.concurrency.admission import Priority
from proxy.derivatives.results import GenerationResult
from proxy.errors import ImagesError, RenderFailed
from proxy.jobs.worker import RETRY_POLICIES

if TYPE_CHECKING:
    from proxy.bulk.stop import Stop
    from proxy.derivatives.results import Remake
    from proxy.derivatives.service import DerivativeService


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderStep:
    """Makes what is due of an original; a render that went wrong is tried again as a job's would be."""

    derivatives: DerivativeService
    sizes: tuple[str, ...]
    remake: Remake
    stop: Stop

    async def make(self, key: str) -> OriginalDone:
        """Tell what came of an original.

        Raises:
            StoreUnavailable: that would say nothing of the original.
            Stopped: the run ends before a render is tried again.
        """
        started = time.perf_counter()
        made = await self._made(key)
        seconds = round(time.perf_counter() - started, 3)
        if made.fault:
            return failed(key, made.fault)
        return OriginalDone(key=key, result="made" if made.was_generated else "fresh", seconds=seconds)

    async def _made(self, key: str) -> GenerationResult:
        for tries in itertools.count(1):
            made = await self._attempt(key, is_first=tries == 1)
            retry_policy = next((RETRY_POLICIES[kind] for kind in RETRY_POLICIES if isinstance(made.fault, kind)), None)
            if not isinstance(made.fault, RenderFailed) or retry_policy is None or tries >= retry_policy.attempts:
                break
            await self.stop.sleep(retry_policy.wait_seconds(tries))
        return made

    async def _attempt(self, key: str, *, is_first: bool) -> GenerationResult:
        try:
            made = await self.derivatives.generate(
                key, self.sizes, remake=self.remake, priority=Priority.BATCH, clears_failures=is_first
            )
        except AWAY:
            raise
        except (Refused, ImagesError) as fault:
            return GenerationResult(fault=fault)
        if isinstance(made.fault, AWAY):
            raise made.fault
        return made


def failed(key: str, fault: Refused | ImagesError) -> OriginalDone:
    """Tell of an original what is wrong with it."""
    return OriginalDone(key=key, result="failed", code=fault.code, detail=str(fault))
