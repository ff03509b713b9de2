"""Jobs that a store refuses: held if it refuses everything, ended if it refuses one key."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from proxy.concurrency.backoff import Backoff, RetryPolicy
from proxy.errors import RefusedForAll, StoreRefused, StoreUnavailable, UnfitKey
from proxy.jobs.retry_policies import RETRY_POLICIES
from proxy.jobs.worker import JobWorker
from proxy.queues.worker import running_worker
from proxy.stores.probe.gate import StoreGate
from proxy.stores.probe.write_probe import ProbeResult
from tests.proxy.jobs.test_worker import ORDER, Site, site
from tests.proxy.stores.probe.probes import REFUSED, DecidedProbe
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.jobs.job import Job

__all__ = ["site"]

pytestmark = pytest.mark.anyio

FAULTS = {
    "refusal": StoreRefused("The bucket rejected the request."),
    "outage": StoreUnavailable("The store does not respond."),
}


@asynccontextmanager
async def worked(site: Site, probe: DecidedProbe) -> AsyncIterator[StoreGate]:
    """Yield the gate of a worker; a refusal is judged at once, and a failed probe is repeated at once."""
    gate = StoreGate(probe, failed=Backoff(first_seconds=0.01, longest_seconds=0.01), refusal_seconds=0)
    worker = JobWorker(
        queue=site.queue,
        derivatives=site.workshop.derivatives,
        complete_job=site.jobs.complete,
        concurrency=2,
        grace_seconds=30,
        store_gate=gate,
    )
    watching = asyncio.create_task(gate.watch())
    async with running_worker(worker):
        yield gate
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


async def held(site: Site, job: Job) -> Job:
    """Wait until a job is queued again with the reason."""

    async def look() -> Job | None:
        now = await site.jobs.get(job.id)
        return now if now.retry else None

    return await until(look)


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_job_that_would_end_because_of_the_store_is_held_while_that_fails_its_probe(
    site: Site, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = RetryPolicy(attempts=1, first_seconds=1, longest_seconds=1)
    monkeypatch.setitem(RETRY_POLICIES, StoreUnavailable, once)
    await site.workshop.upload()
    probe = DecidedProbe()
    probe.result = REFUSED
    site.workshop.store.fault = FAULTS[kind]
    async with worked(site, probe) as gate:
        await until(lambda: _is(not gate.is_open))
        job = await site.jobs.submit(ORDER)
        await until(lambda: _is(len(probe.runs) > 3))
        assert (await site.jobs.get(job.id)).status == "queued"
        site.workshop.store.fault = None
        probe.result = ProbeResult()
        ended = await site.ended(job)
    assert (ended.status, ended.attempts, ended.error) == ("done", 1, None)


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_running_job_is_put_back_with_the_reason_and_loses_no_attempt(
    site: Site, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = RetryPolicy(attempts=1, first_seconds=1, longest_seconds=1)
    monkeypatch.setitem(RETRY_POLICIES, StoreUnavailable, once)
    await site.workshop.upload()
    probe = DecidedProbe()
    site.workshop.store.fault = FAULTS[kind]
    async with worked(site, probe) as gate:
        await until(lambda: _is(bool(probe.runs)))
        probe.result = REFUSED
        gate.record_error(FAULTS[kind])  # the store of a service is wrapped so that it does this
        job = await held(site, await site.jobs.submit(ORDER))
        assert (job.status, job.attempts) == ("queued", 0)
        assert job.retry is not None
        assert (job.retry.code, job.retry.detail) == ("store-refused", StoreRefused.public_message)
        site.workshop.store.fault = None
        probe.result = ProbeResult()
        ended = await site.ended(job)
    assert (ended.status, ended.attempts) == ("done", 1)


async def test_a_job_whose_key_alone_is_refused_ends_after_a_second_look(site: Site) -> None:
    await site.workshop.upload()
    site.workshop.store.fault = FAULTS["refusal"]
    async with worked(site, DecidedProbe()):
        job = await site.ended(await site.jobs.submit(ORDER))
    assert (job.status, job.attempts) == ("error", 1)
    assert job.error is not None
    assert job.error.code == "store-refused"
    assert site.workshop.calls["fetch"] == 2


async def test_a_job_is_held_as_often_as_everything_is_refused_although_each_probe_finds_the_store_recovered(
    site: Site,
) -> None:
    await site.workshop.upload()
    site.workshop.store.fault = RefusedForAll("The clock is wrong.")
    async with worked(site, DecidedProbe()):
        job = await site.jobs.submit(ORDER)
        await until(lambda: _is(site.workshop.calls["fetch"] > 3))
        assert (await site.jobs.get(job.id)).status in {"queued", "processing"}
        site.workshop.store.fault = None
        ended = await site.ended(job)
    assert (ended.status, ended.attempts, ended.error) == ("done", 1, None)


async def test_a_key_that_does_not_fit_ends_its_job_without_a_probe(site: Site) -> None:
    await site.workshop.upload()
    site.workshop.store.fault = UnfitKey("The key is too long.")
    probe = DecidedProbe()
    async with worked(site, probe):
        await until(lambda: _is(bool(probe.runs)))
        job = await site.ended(await site.jobs.submit(ORDER))
    assert job.error is not None
    assert (job.error.code, len(probe.runs)) == ("bad-key", 1)


async def _is(value: bool) -> bool:  # noqa: FBT001 - an event as a value
    await asyncio.sleep(0)
    return value
