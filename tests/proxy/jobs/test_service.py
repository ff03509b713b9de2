"""The job service: submission, status and replay of jobs."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest
from saq import Status

from proxy.derivatives.recipe import Recipe
from proxy.errors import BadCallback, BadKey, Busy, QueueUnavailable, UnknownJob, UnknownSize
from proxy.jobs.job import Job
from proxy.jobs.job_ids import former_id
from proxy.jobs.request import JobRequest
from proxy.jobs.service import FUNCTION, JobService
from proxy.keys.addresses import PublicAddresses
from proxy.keys.layouts import SiteLayout
from proxy.queues.factory import open_queue
from proxy.queues.sqlite import statements
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.outbox import Outbox
from tests.proxy.conftest import ORIGINAL, SIZES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.queues.base import JobQueue

pytestmark = pytest.mark.anyio

ORDER = JobRequest(key=ORIGINAL)


def other(number: int) -> JobRequest:
    return JobRequest(key=f"gall/{number}/{number}_1_original.jpg")


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    one = open_queue(f"sqlite:////{tmp_path}/queue.db", name="test")
    await one.connect()
    yield one
    await one.disconnect()


@pytest.fixture
def jobs(queue: JobQueue) -> JobService:
    return jobs_of(queue, queue_size=3)


def jobs_of(queue: JobQueue, *, queue_size: int) -> JobService:
    layout = SiteLayout(sizes=tuple(size.name for size in SIZES))
    recipe = Recipe(sizes=SIZES, layout=layout, cache_control="")
    outbox = Outbox(queue=queue, allow_list=parse_allow_list([]), keep_seconds=600)
    return JobService(
        queue=queue,
        outbox=outbox,
        recipe=recipe,
        addresses=PublicAddresses("/files"),
        queue_size=queue_size,
        keep_seconds=600,
    )


async def test_an_order_becomes_a_job_that_waits(jobs: JobService) -> None:
    job = await jobs.submit(ORDER)
    assert (job.key, job.status, job.attempts, job.derivatives, job.error) == (ORIGINAL, "queued", 0, (), None)
    assert job.created_at is not None
    assert await jobs.get(job.id) == job


async def test_the_same_original_gives_the_same_job_while_it_is_live(jobs: JobService) -> None:
    first = await jobs.submit(ORDER, idempotency_key="one")
    assert (await jobs.submit(ORDER, idempotency_key="two")).id == first.id
    assert (await jobs.submit(other(1))).id != first.id


async def test_an_order_that_wants_more_than_the_live_job_gets_a_job_of_its_own(jobs: JobService) -> None:
    some = await jobs.submit(JobRequest(key=ORIGINAL, sizes=("small",)))
    assert (await jobs.submit(JobRequest(key=ORIGINAL, sizes=("small",)))).id == some.id
    everything = await jobs.submit(ORDER)
    assert everything.id != some.id
    assert (await jobs.submit(JobRequest(key=ORIGINAL, force=True))).id not in {some.id, everything.id}


async def test_the_same_idempotency_key_gives_the_same_job_whatever_is_ordered(jobs: JobService) -> None:
    first = await jobs.submit(ORDER, idempotency_key="msg_1")
    assert (await jobs.submit(other(1), idempotency_key="msg_1")).id == first.id


async def test_a_webhook_delivered_many_times_at_once_is_one_job(jobs: JobService) -> None:
    posts = await asyncio.gather(*(jobs.submit(ORDER, idempotency_key="msg_1") for _ in range(20)))
    assert len({job.id for job in posts}) == 1


async def test_no_more_wait_than_may_however_many_come_at_once(jobs: JobService) -> None:
    outcomes = await asyncio.gather(*(jobs.submit(other(number)) for number in range(200)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Busy)]
    assert (len(refused), (await jobs.waiting())[0]) == (197, 3)
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Job)]
    assert [await jobs.get(job.id) for job in accepted] == accepted
    assert all(refusal.retry_after_seconds > 0 for refusal in refused)


async def test_no_more_wait_than_may_however_many_come_at_once_to_two_processes_on_one_file(
    queue: JobQueue, jobs: JobService, tmp_path: Path
) -> None:
    beside = open_queue(f"sqlite:////{tmp_path}/queue.db", name=queue.name)
    await beside.connect()
    try:
        services = (jobs, jobs_of(beside, queue_size=3))
        outcomes = await asyncio.gather(
            *(services[number % 2].submit(other(number)) for number in range(60)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, Busy)]
        assert (len(refused), (await jobs.waiting())[0]) == (57, 3)
        again = next(number for number, outcome in enumerate(outcomes) if isinstance(outcome, Busy))
        for service in services:  # what was refused does not count as live
            with pytest.raises(Busy):
                await service.submit(other(again))
    finally:
        await beside.disconnect()


async def test_a_job_that_is_known_is_told_even_when_the_queue_is_full(jobs: JobService) -> None:
    first = await jobs.submit(other(0), idempotency_key="msg_1")
    await jobs.submit(other(1))
    await jobs.submit(other(2))
    assert (await jobs.submit(other(0), idempotency_key="msg_1")).id == first.id


async def test_what_is_nonsense_never_becomes_a_job(jobs: JobService) -> None:
    with pytest.raises(BadKey):
        await jobs.submit(JobRequest(key="no-original.jpg"))
    with pytest.raises(UnknownSize):
        await jobs.submit(JobRequest(key=ORIGINAL, sizes=("huge",)))
    with pytest.raises(BadCallback):
        await jobs.submit(JobRequest(key=ORIGINAL, callback_url="https://example.org/"))
    assert (await jobs.waiting())[0] == 0


async def test_a_job_that_nobody_posted_is_not_known(jobs: JobService) -> None:
    with pytest.raises(UnknownJob):
        await jobs.get("0" * 32)
    with pytest.raises(UnknownJob):
        await jobs.replay("0" * 32)


async def test_replaying_a_live_job_leaves_it_alone(jobs: JobService) -> None:
    job = await jobs.submit(ORDER)
    assert await jobs.replay(job.id) == job
    assert (await jobs.waiting())[0] == 1


async def test_a_thousand_posts_of_a_hundred_originals_at_once_are_a_hundred_jobs(queue: JobQueue) -> None:
    jobs = jobs_of(queue, queue_size=1000)
    orders = [other(number % 100) for number in range(1000)]
    posted = await asyncio.gather(
        *(jobs.submit(order, idempotency_key=f"msg_{number}") for number, order in enumerate(orders))
    )
    assert [job.key for job in posted] == [order.key for order in orders]
    assert (len({job.id for job in posted}), (await jobs.waiting())[0]) == (100, 100)
    assert {job.id for job in posted} == {(await jobs.submit(other(number))).id for number in range(100)}


async def test_what_a_post_costs_does_not_grow_with_the_line(queue: JobQueue) -> None:
    jobs = jobs_of(queue, queue_size=5000)

    async def seconds(first: int) -> float:
        timings = []
        for number in range(first, first + 100):
            began = time.perf_counter()
            await jobs.submit(other(number))
            timings.append(time.perf_counter() - began)
        return statistics.median(timings)

    short = await seconds(0)
    await asyncio.gather(*(jobs.submit(other(number)) for number in range(1000, 3000)))
    assert await seconds(100) < 10 * short  # reading 2,000 live jobs takes 40 times as long as a post


async def test_the_end_of_a_job_makes_room_for_another_of_the_same_original(queue: JobQueue, jobs: JobService) -> None:
    first = await jobs.submit(ORDER)
    taken = await queue.dequeue(timeout=5)
    assert taken is not None
    assert (await jobs.submit(ORDER)).id == first.id
    await taken.finish(Status.COMPLETE, result={})
    assert (await jobs.submit(ORDER)).id != first.id


async def test_a_queue_that_cannot_be_written_accepts_nothing(queue: JobQueue, jobs: JobService) -> None:
    await queue.disconnect()
    outcomes = await asyncio.gather(*(jobs.submit(other(number)) for number in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [QueueUnavailable] * 5
    await queue.connect()
    assert (await jobs.waiting())[0] == 0
    assert (await jobs.submit(other(1))).status == "queued"


@pytest.mark.slow
async def test_the_file_of_ended_jobs_does_not_grow_for_ever(queue: JobQueue, tmp_path: Path) -> None:
    jobs = jobs_of(queue, queue_size=1000)
    sizes = []
    for round_ in range(6):
        await asyncio.gather(*(jobs.submit(other(round_ * 1000 + number)) for number in range(300)))
        while (taken := await queue.dequeue(timeout=0.01)) is not None:
            await taken.finish(Status.COMPLETE, result={})
        with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as connection:
            statements.prune(connection, time.time() + 601)  # as a sweep does, after the jobs have expired
        sizes.append(sum(path.stat().st_size for path in tmp_path.glob("queue.db*") if path.is_file()))
        assert [job async for job in queue.iter_jobs()] == []
    assert sizes[-1] <= 1.2 * sizes[1]


async def test_a_message_whose_job_an_older_version_created_gets_that_job(queue: JobQueue, jobs: JobService) -> None:
    kwargs = msgspec.to_builtins(ORDER)
    await queue.enqueue(FUNCTION, key=former_id("webhook-id\nmsg_1"), kwargs=kwargs, ttl=600)
    job = await jobs.submit(ORDER, idempotency_key="webhook-id\nmsg_1")
    assert job.id == former_id("webhook-id\nmsg_1")
