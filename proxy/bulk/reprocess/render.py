"""The step that renders an original on this machine, with the same code as page views and jobs."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import Refused
from proxy.bulk.events import OriginalDone
from proxy.bulk.outages import AWAY
from proxy.concurrency.admission import Priority
from proxy.derivatives.results import GenerationResult
from proxy.errors import ImagesError, RenderFailed
from proxy.jobs.retry_policies import RETRY_POLICIES

if TYPE_CHECKING:
    from proxy.bulk.stop import Stop
    from proxy.derivatives.results import Remake
    from proxy.derivatives.service import DerivativeService


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderStep:
    """A step that renders the due sizes of an original; failed renders are retried like those of jobs."""

    derivatives: DerivativeService
    sizes: tuple[str, ...]
    """The names of the sizes to render, of those at which an original exists."""
    remake: Remake
    stop: Stop

    async def run(self, key: str) -> OriginalDone:
        """Return the outcome of an original.

        Raises:
            StoreUnavailable, NoRoom: the store or the disk failed; the original is not the cause.
            Stopped: the run stops before a render is retried.
        """
        started = time.perf_counter()
        sizes = self.derivatives.recipe.names_of(key, among=self.sizes)
        if not sizes:
            return OriginalDone(key=key, result="fresh")
        made = await self._generate(key, sizes)
        seconds = round(time.perf_counter() - started, 3)
        if made.fault:
            return OriginalDone.from_error(key, made.fault)
        return OriginalDone(key=key, result="rendered" if made.was_generated else "fresh", seconds=seconds)

    async def _generate(self, key: str, sizes: tuple[str, ...]) -> GenerationResult:
        for tries in itertools.count(1):
            made = await self._attempt(key, sizes, is_first=tries == 1)
            retry_policy = next((RETRY_POLICIES[kind] for kind in RETRY_POLICIES if isinstance(made.fault, kind)), None)
            if not isinstance(made.fault, RenderFailed) or retry_policy is None or tries >= retry_policy.attempts:
                break
            await self.stop.sleep(retry_policy.wait_seconds(tries))
        return made

    async def _attempt(self, key: str, sizes: tuple[str, ...], *, is_first: bool) -> GenerationResult:
        try:
            made = await self.derivatives.generate(
                key, sizes, remake=self.remake, priority=Priority.BATCH, clears_failures=is_first
            )
        except AWAY:
            raise
        except (Refused, ImagesError) as fault:
            return GenerationResult(fault=fault)
        if isinstance(made.fault, AWAY):
            raise made.fault
        return made
