"""Orders come into the queue, and what became of them can be asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.errors import BadKey, Busy, UnknownJob, UnknownSize
from proxy.jobs import Jobs
from proxy.orders import Order
from proxy.queues.open import open_queue
from tests.proxy.conftest import ORIGINAL, Workshop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

ORDER = Order(key=ORIGINAL)


def other(number: int) -> Order:
    return Order(key=f"gall/{number}/{number}_1_original.jpg")


@pytest.fixture
async def jobs(workshop: Workshop, tmp_path: Path) -> AsyncIterator[Jobs]:
    queue = open_queue(f"sqlite:////{tmp_path}/queue.db", name="test")
    await queue.connect()
    yield Jobs(queue=queue, recipe=workshop.derivatives.recipe, queue_size=3, keep_seconds=600)
    await queue.disconnect()


async def test_an_order_becomes_a_job_that_waits(jobs: Jobs) -> None:
    job = await jobs.submit(ORDER)
    assert (job.key, job.status, job.attempts, job.derivatives, job.error) == (ORIGINAL, "queued", 0, (), None)
    assert job.created_at is not None
    assert await jobs.get(job.id) == job


async def test_the_same_original_gives_the_same_job_while_it_is_live(jobs: Jobs) -> None:
    first = await jobs.submit(ORDER, idempotency_key="one")
    assert (await jobs.submit(ORDER, idempotency_key="two")).id == first.id
    assert (await jobs.submit(other(1))).id != first.id


async def test_an_order_that_wants_more_than_the_live_job_gets_a_job_of_its_own(jobs: Jobs) -> None:
    some = await jobs.submit(Order(key=ORIGINAL, sizes=("small",)))
    assert (await jobs.submit(Order(key=ORIGINAL, sizes=("small",)))).id == some.id
    everything = await jobs.submit(ORDER)
    assert everything.id != some.id
    assert (await jobs.submit(Order(key=ORIGINAL, force=True))).id not in {some.id, everything.id}


async def test_the_same_idempotency_key_gives_the_same_job_whatever_is_ordered(jobs: Jobs) -> None:
    first = await jobs.submit(ORDER, idempotency_key="msg_1")
    assert (await jobs.submit(other(1), idempotency_key="msg_1")).id == first.id


async def test_a_webhook_delivered_many_times_at_once_is_one_job(jobs: Jobs) -> None:
    posts = await asyncio.gather(*(jobs.submit(ORDER, idempotency_key="msg_1") for _ in range(20)))
    assert len({job.id for job in posts}) == 1


async def test_no_more_wait_than_may_however_many_come_at_once(jobs: Jobs) -> None:
    outcomes = await asyncio.gather(*(jobs.submit(other(number)) for number in range(200)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Busy)]
    assert (len(refused), (await jobs.waiting())[0]) == (197, 3)
    assert all(refusal.retry_after_seconds > 0 for refusal in refused)


async def test_a_job_that_is_known_is_told_even_when_the_queue_is_full(jobs: Jobs) -> None:
    first = await jobs.submit(other(0), idempotency_key="msg_1")
    await jobs.submit(other(1))
    await jobs.submit(other(2))
    assert (await jobs.submit(other(0), idempotency_key="msg_1")).id == first.id


async def test_what_is_nonsense_never_becomes_a_job(jobs: Jobs) -> None:
    with pytest.raises(BadKey):
        await jobs.submit(Order(key="no-original.jpg"))
    with pytest.raises(UnknownSize):
        await jobs.submit(Order(key=ORIGINAL, sizes=("huge",)))
    assert (await jobs.waiting())[0] == 0


async def test_a_job_that_nobody_posted_is_not_known(jobs: Jobs) -> None:
    with pytest.raises(UnknownJob):
        await jobs.get("0" * 32)
    with pytest.raises(UnknownJob):
        await jobs.replay("0" * 32)


async def test_replaying_a_live_job_leaves_it_alone(jobs: Jobs) -> None:
    job = await jobs.submit(ORDER)
    assert await jobs.replay(job.id) == job
    assert (await jobs.waiting())[0] == 1
