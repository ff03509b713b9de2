"""The background tasks that update metrics."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import structlog
from prometheus_client import REGISTRY

from proxy.errors import StoreUnavailable
from proxy.jobs.control import JobControl
from proxy.jobs.request import JobRequest
from proxy.jobs.service import JobService
from proxy.keys.addresses import PublicAddresses
from proxy.observability import gauges
from proxy.observability.readiness import Readiness
from proxy.queues.base import DEFERRED
from proxy.queues.factory import open_queue
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.outbox import Outbox
from tests.proxy.conftest import ORIGINAL
from tests.proxy.queues.asking import take
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from tests.proxy.conftest import Workshop

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def going_on(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def told(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_each_part_is_told_to_work_or_not() -> None:
    async def well() -> None:
        return

    async def ill() -> None:
        raise StoreUnavailable("It is away.")

    async def full() -> None:
        raise OSError(28, "No space left on device")

    readiness = Readiness({"store": ill, "queue": well, "renderers": full})
    readiness.is_open = True
    async with going_on(gauges.watch_readiness(readiness)):

        async def is_told() -> bool:
            return [told("ready", part=part) for part in ("store", "queue", "renderers")] == [0, 1, 0]

        await until(is_told)
    assert await readiness.check() == ["store: store-unavailable", "renderers: No space left on device"]


async def test_readiness_goes_on_being_tried_after_what_nobody_foresaw() -> None:
    tries = asyncio.Semaphore(0)

    async def stumble() -> None:
        tries.release()
        raise RuntimeError("a fault of ours")

    readiness = Readiness({"store": stumble})
    readiness.is_open = True
    with structlog.testing.capture_logs() as lines:
        async with going_on(gauges.watch_readiness(readiness, every_seconds=0)), asyncio.timeout(10):
            for _ in range(3):
                await tries.acquire()
    assert {(line["event"], line["part"]) for line in lines} == {("component_not_ready", "store")}
    assert all(line["exc_info"] for line in lines), "the trace of a fault of ours is not told"


async def test_a_part_that_stumbles_over_a_fault_of_ours_does_not_work_and_the_others_are_told_all_the_same() -> None:
    async def stumble() -> None:
        if not is_well:
            raise RuntimeError("a fault of ours")

    async def work() -> None:
        if is_well:
            raise StoreUnavailable("It is away.")

    readiness = Readiness({"store": stumble, "queue": work})
    readiness.is_open = True
    for is_well in (True, False):
        missing = await readiness.check()
        assert (told("ready", part="store"), told("ready", part="queue")) == (is_well, not is_well)
        assert missing == (["queue: store-unavailable"] if is_well else ["store: internal"])


async def test_the_queue_is_told_and_while_it_cannot_be_read_no_number_is(workshop: Workshop, tmp_path: Path) -> None:
    queue = open_queue(f"sqlite:////{tmp_path}/queue.db", name="derivatives")
    outbox = Outbox(queue=queue, allow_list=parse_allow_list([]), keep_seconds=60)
    recipe = workshop.derivatives.recipe
    jobs = JobService(
        queue=queue, outbox=outbox, recipe=recipe, addresses=PublicAddresses("/files"), queue_size=9, keep_seconds=60
    )
    await queue.connect()
    await jobs.submit(JobRequest(key=ORIGINAL))

    async def is_read() -> bool:
        return told("queue_depth") == 1 and (told("queue_oldest_seconds") or 0) > 0

    async def is_not_read() -> bool:
        return math.isnan(told("queue_depth") or 0) and math.isnan(told("queue_oldest_seconds") or 0)

    with structlog.testing.capture_logs() as lines:
        async with going_on(gauges.watch_queue(jobs, JobControl(queue=queue, jobs=jobs), every_seconds=0.01)):
            for _ in range(2):
                await until(is_read)
                await queue.disconnect()
                await until(is_not_read)
                await queue.connect()
            await until(is_read)
    await queue.disconnect()
    assert [line["event"] for line in lines if line["event"] != "job_queued"] == ["queue_status_failed"] * 2


async def test_jobs_that_wait_after_an_unexpected_error_are_counted_apart_from_the_rest(
    workshop: Workshop, tmp_path: Path
) -> None:
    queue = open_queue(f"sqlite:////{tmp_path}/queue.db", name="derivatives")
    outbox = Outbox(queue=queue, allow_list=parse_allow_list([]), keep_seconds=60)
    recipe = workshop.derivatives.recipe
    jobs = JobService(
        queue=queue, outbox=outbox, recipe=recipe, addresses=PublicAddresses("/files"), queue_size=9, keep_seconds=60
    )
    await queue.connect()
    for number in range(2):
        await jobs.submit(JobRequest(key=f"gall/{number}/{number}_1_original.jpg"))
        job = await take(queue)
        job.priority, job.retry_delay = DEFERRED, 3600
        await job.retry("an unexpected error")
    await jobs.submit(JobRequest(key=ORIGINAL))

    async def are_counted() -> bool:
        return (told("queue_deferred"), told("queue_depth")) == (2, 1)

    async def is_unknown() -> bool:
        return math.isnan(told("queue_deferred") or 0)

    async with going_on(gauges.watch_queue(jobs, JobControl(queue=queue, jobs=jobs), every_seconds=0.01)):
        await until(are_counted)
        await queue.disconnect()
        await until(is_unknown)


async def test_a_pause_is_exported_and_logged_once_and_so_is_its_end(workshop: Workshop, tmp_path: Path) -> None:
    queue = open_queue(f"sqlite:////{tmp_path}/queue.db", name="derivatives")
    outbox = Outbox(queue=queue, allow_list=parse_allow_list([]), keep_seconds=60)
    jobs = JobService(
        queue=queue,
        outbox=outbox,
        recipe=workshop.derivatives.recipe,
        addresses=PublicAddresses("/files"),
        queue_size=9,
        keep_seconds=60,
    )
    control = JobControl(queue=queue, jobs=jobs)
    await queue.connect()

    async def is_paused() -> bool:
        return told("queue_paused") == 1

    async def is_running() -> bool:
        return told("queue_paused") == 0

    with structlog.testing.capture_logs() as lines:
        async with going_on(gauges.watch_queue(jobs, control, every_seconds=0.01)):
            await until(is_running)
            await queue.pause()
            await until(is_paused)
            await queue.resume()
            await until(is_running)
    await queue.disconnect()
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("queue_paused", "warning"),
        ("queue_resumed", "info"),
    ]
