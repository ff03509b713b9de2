"""The gate: when the store is probed, and what waits until it passes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import structlog
from prometheus_client import REGISTRY

from proxy.concurrency.backoff import Backoff
from proxy.errors import StoreRefused, StoreUnavailable, UnfitKey
from proxy.stores.instrumented import InstrumentedStore
from proxy.stores.probe.gate import EVERY_SECONDS, StoreGate
from proxy.stores.probe.write_probe import ProbeResult
from tests.proxy.stores.blobs import ATTRIBUTES, keys, put
from tests.proxy.stores.probe.probes import REFUSED, DecidedProbe, FailingStore
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

REFUSAL = StoreRefused("The bucket rejected the request.")
NOT_PUBLIC = ProbeResult(fault=StoreRefused("Not public.", brief="not public: 403"))
AWAY = ProbeResult(fault=StoreUnavailable("Not now."), is_for_all=True)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Site:
    """A gate with its probe and its clock."""

    def __init__(self, *, refusal_seconds: float = 0.0) -> None:
        self.probe = DecidedProbe()
        self.clock = Clock()
        self.gate = StoreGate(
            self.probe,
            failed=Backoff(first_seconds=0.001, longest_seconds=0.001),
            refusal_seconds=refusal_seconds,
            clock=self.clock,
        )

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Watch the store for the duration of the block, from after the first probe."""
        task = asyncio.create_task(self.gate.watch())
        await self.runs(1)
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def runs(self, number: int) -> None:
        """Wait until the probe has run this often."""

        async def look() -> bool:
            await asyncio.sleep(0)
            return len(self.probe.runs) >= number

        await until(look)


def paused() -> float | None:
    return REGISTRY.get_sample_value("store_paused")


async def test_a_store_is_probed_at_start_and_readiness_waits_for_the_outcome() -> None:
    site = Site()
    checking = asyncio.create_task(site.gate.check())
    await asyncio.sleep(0)
    assert not checking.done()
    async with site.watched():
        await checking
    assert site.probe.runs == [True]


async def test_a_refused_store_is_not_ready_and_everything_waits() -> None:
    site = Site()
    site.probe.result = REFUSED
    with structlog.testing.capture_logs() as logs:
        async with site.watched():
            with pytest.raises(StoreRefused):
                await site.gate.check()
            assert not await site.gate.wait_until_open(seconds=0.001)
            assert paused() == 1
            waiting = asyncio.create_task(site.gate.wait_until_open(seconds=30))
            site.clock.now += 1
            site.gate.record_error(REFUSAL)
            await site.runs(2)
            site.probe.result = ProbeResult()
            site.clock.now += 1
            site.gate.record_error(REFUSAL)
            assert await waiting
            await site.gate.check()
            assert paused() == 0
    assert [line["event"] for line in logs] == ["write_probe_failed", "write_probe_passed"]
    assert (logs[0]["is_paused"], logs[1]["paused_seconds"]) == (True, 2)


async def test_a_refusal_is_judged_by_a_probe() -> None:
    site = Site()
    async with site.watched():
        site.gate.record_error(REFUSAL)
        assert await site.gate.judge(REFUSAL) is None
        site.probe.result = REFUSED
        site.gate.record_error(REFUSAL)
        assert await site.gate.judge(REFUSAL) is REFUSED.fault
        assert len(site.probe.runs) == 3


async def test_many_refusals_at_once_are_judged_by_one_probe() -> None:
    site = Site()
    async with site.watched():
        site.probe.result = REFUSED
        for _ in range(9):
            site.gate.record_error(REFUSAL)
        verdicts = await asyncio.gather(*(site.gate.judge(REFUSAL) for _ in range(9)))
        assert verdicts == [REFUSED.fault] * 9
        assert len(site.probe.runs) == 2


async def test_a_refusal_that_no_job_waits_for_is_probed_as_well() -> None:
    site = Site()
    async with site.watched():
        site.gate.record_error(REFUSAL)
        await site.runs(2)


async def test_a_key_that_does_not_fit_and_an_outage_are_no_refusals() -> None:
    site = Site()
    async with site.watched():
        site.gate.record_error(UnfitKey("Too long."))
        site.gate.record_error(StoreUnavailable("Not now."))
        assert await site.gate.judge(REFUSAL) is None
        assert len(site.probe.runs) == 1


async def test_an_outage_at_start_pauses_nothing_but_one_that_ends_a_job_does() -> None:
    site = Site()
    site.probe.result = AWAY
    async with site.watched():
        with pytest.raises(StoreUnavailable):
            await site.gate.check()
        assert site.gate.is_open
        assert await site.gate.judge(StoreUnavailable("Not now.")) is AWAY.fault
        assert not site.gate.is_open


async def test_a_bucket_that_is_only_not_public_is_not_ready_and_pauses_nothing() -> None:
    site = Site()
    site.probe.result = NOT_PUBLIC
    async with site.watched():
        with pytest.raises(StoreRefused):
            await site.gate.check()
        site.gate.record_error(REFUSAL)
        assert await site.gate.judge(REFUSAL) is None
        assert site.probe.runs[:2] == [True, True]


async def test_a_write_puts_the_hourly_probe_off() -> None:
    site = Site()
    async with site.watched():
        site.clock.now += EVERY_SECONDS - 1
        site.gate.record_write()
        site.clock.now += EVERY_SECONDS - 1
        site.gate.record_error(UnfitKey("Too long."))
        assert len(site.probe.runs) == 1


async def test_a_probe_that_crashes_changes_nothing() -> None:
    async def crash(*, writes: bool) -> ProbeResult:
        raise OSError(28, "No space left on device", str(writes))

    gate = StoreGate(crash)
    with structlog.testing.capture_logs() as logs:
        gate.record_error(REFUSAL)
        assert await gate.judge(REFUSAL) is None
    assert [line["event"] for line in logs] == ["write_probe_crashed"]


async def test_a_closed_gate_lets_nothing_be_written_or_rendered_and_lets_the_rest_be_read(tmp_path: Path) -> None:
    site = Site()
    behind = FailingStore()
    store = InstrumentedStore(behind, gate=site.gate, probe_key="probe")
    await put(store, "a", b"bytes", tmp_path / "file")
    site.probe.result = REFUSED
    behind.faults["put"] = REFUSAL
    async with site.watched():
        for asked in (
            store.put("a", tmp_path / "file", ATTRIBUTES),
            store.put_new("a", tmp_path / "file", ATTRIBUTES),
            store.copy("a", "b"),
            store.fetch("a", tmp_path / "copy", max_bytes=9),
        ):
            with pytest.raises(StoreRefused):
                await asked
        assert await store.head("a") is not None
    assert behind.calls == ["put", "head"]


async def test_the_key_of_the_probe_is_not_listed(tmp_path: Path) -> None:
    store = InstrumentedStore(FailingStore(), probe_key="probe")
    await put(store, "a", b"bytes", tmp_path / "file")
    await put(store, "probe", b"bytes", tmp_path / "file")
    assert await keys(store) == ["a"]


@pytest.mark.parametrize("operation", ["list", "versions"])
async def test_a_listing_that_is_refused_has_the_store_probed(operation: str) -> None:
    site = Site()
    behind = FailingStore()
    store = InstrumentedStore(behind, gate=site.gate, probe_key="probe")
    async with site.watched():
        site.probe.result = REFUSED
        behind.faults[operation] = REFUSAL
        with pytest.raises(StoreRefused):
            await anext(store.list() if operation == "list" else store.versions(""))
        assert await site.gate.judge(REFUSAL) is not None
