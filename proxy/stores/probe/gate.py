"""The gate in front of the store: work waits while the store refuses everything, and nothing fails for it."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from proxy import metrics
from proxy.concurrency.backoff import Backoff
from proxy.errors import StoreError, StoreRefused, UnfitKey
from proxy.stores.probe.write_probe import ProbeResult

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 3600.0
"""How long after a successful write the store is probed again."""

FAILED: Final = Backoff(first_seconds=1.0, longest_seconds=60.0)
"""The waits between the probes of a store that fails them."""

REFUSAL_SECONDS: Final = 10.0
"""The shortest time between two probes that refusals cause, if the store passes them: each writes a version."""


class RunProbe(Protocol):
    """A probe of the store; without `writes`, what an earlier one has written may be read again."""

    async def __call__(self, *, writes: bool) -> ProbeResult:
        """Probe the store once, and return the outcome."""
        ...


class StoreGate:
    """A gate that a failed `probe` closes and a later one opens.

    After a refusal, the probe decides whether it concerned one key or everything. A refusal of everything closes the
    gate: workers pause, jobs wait, and whatever has to read an original or write fails at once.
    """

    def __init__(
        self,
        probe: RunProbe,
        *,
        failed: Backoff = FAILED,
        refusal_seconds: float = REFUSAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe = probe
        self._failed = failed
        self._refusal_seconds = refusal_seconds
        self._clock = clock
        self._probing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._is_probed = asyncio.Event()
        self._fault: StoreError | None = None
        self._refusals = self._judged_refusals = self._failures = 0
        self._judged_at = -math.inf
        self._closed_at = 0.0
        self._due_at = clock()

    @property
    def is_open(self) -> bool:
        """Whether the store can be used."""
        return self._is_open.is_set()

    def raise_if_closed(self) -> None:
        """Raise if the gate is closed.

        Raises:
            StoreError: why the last probe failed.
        """
        if not self.is_open:
            self._raise()

    async def check(self) -> None:
        """Raise if the last probe failed; wait for the first one.

        Raises:
            StoreError: why it failed.
        """
        await self._is_probed.wait()
        self._raise()

    async def wait_until_open(self, *, seconds: float) -> bool:
        """Wait until the gate is open, for at most `seconds`; return whether it is."""
        if not self.is_open:
            try:
                async with asyncio.timeout(seconds):
                    await self._is_open.wait()
            except TimeoutError:
                return False
        return True

    def record_write(self) -> None:
        """Record that a write succeeded, which is as good as a probe after the first one."""
        if self._is_probed.is_set() and self._fault is None:
            self._due_at = self._clock() + EVERY_SECONDS

    def record_error(self, error: StoreError) -> None:
        """Record that a call of the store failed: after a refusal, `watch` probes the store."""
        if isinstance(error, StoreRefused) and not isinstance(error, UnfitKey):
            self._refusals += 1
            self._changed.set()

    async def judge(self, error: StoreError) -> StoreError | None:
        """Return why the store refuses everything, or None if `error` concerned only one key."""
        if not isinstance(error, StoreRefused):  # an outage, which nothing has recorded as a refusal
            self._refusals += 1
        async with self._probing:
            if self.is_open and self._judged_refusals < self._refusals:
                await asyncio.sleep(max(0.0, self._judged_at + self._refusal_seconds - self._clock()))
                await self._run()
        return None if self.is_open else self._fault

    async def watch(self) -> None:
        """Probe the store until cancelled: now, after each refusal, while it fails, and at last every hour."""
        while True:
            self._changed.clear()
            async with self._probing:
                if self._clock() >= self._next_at():
                    await self._run()
            try:
                async with asyncio.timeout(max(0.0, self._next_at() - self._clock())):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _next_at(self) -> float:
        if self._fault is None and self._judged_refusals < self._refusals:
            return min(self._due_at, self._judged_at + self._refusal_seconds)
        return self._due_at

    async def _run(self) -> None:
        refusals = self._refusals
        is_suspected = self._judged_refusals < refusals
        if is_suspected:
            self._judged_at = self._clock()
        try:
            result = await self._probe(writes=is_suspected or self._fault is None or not self.is_open)
        except Exception:  # a full scratch disk, for example: nothing is known about the store
            log.exception("write_probe_crashed")
            result = ProbeResult(fault=self._fault, is_for_all=not self.is_open)
        self._judged_refusals = refusals
        self._failures = self._failures + 1 if result.fault else 0
        self._due_at = self._clock() + (self._failed.wait_seconds(self._failures) if result.fault else EVERY_SECONDS)
        self._settle(result, is_suspected=is_suspected)
        self._is_probed.set()
        self._changed.set()

    def _settle(self, result: ProbeResult, *, is_suspected: bool) -> None:
        """Open or close the gate, and log each change once."""
        # A store that is only unreachable closes it after a refusal alone: jobs retry what may pass by themselves.
        is_refused = isinstance(result.fault, StoreRefused) or is_suspected or not self.is_open
        closes = result.is_for_all and is_refused
        if result.fault and (self._fault is None or closes == self.is_open):
            log.warning("write_probe_failed", detail=str(result.fault), is_paused=closes)
        if closes and self.is_open:
            self._closed_at = self._clock()
        if self._fault and not result.fault:
            paused_seconds = 0.0 if self.is_open else round(self._clock() - self._closed_at, 1)
            log.info("write_probe_passed", paused_seconds=paused_seconds)
        self._fault = result.fault
        (self._is_open.clear if closes else self._is_open.set)()
        metrics.store_paused.set(closes)

    def _raise(self) -> None:
        if self._fault is not None:
            raise self._fault.with_traceback(None)
