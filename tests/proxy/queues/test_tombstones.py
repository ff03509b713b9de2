"""Tombstones on every queue: nothing brings an original back that was taken down, but a later signed post."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from saq import Status

from proxy.errors import Busy, JobEnded, OrderTakenDown, QueueUnavailable
from proxy.jobs.takedown.tombstones import Tombstone, Tombstones
from tests.proxy.queues.asking import take
from tests.proxy.queues.test_jobs import jobs_of, order

if TYPE_CHECKING:
    from proxy.jobs.service import JobService
    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio

KEY = order(1).key
AT = 1_800_000_000


@pytest.fixture
def jobs(queue: JobQueue) -> JobService:
    return jobs_of(queue)


async def taken_down(queue: JobQueue, jobs: JobService, *, message_id: str = "msg_down") -> str:
    """Take the original down, end the job of it, and return its id."""
    job = await jobs.take_down(KEY, message_id=message_id, signed_at=AT)
    await (await take(queue)).finish(Status.COMPLETE, result={})
    return job.id


async def test_every_machine_finds_the_tombstone_before_the_job_of_the_takedown(another: Another) -> None:
    here, there = await another(), await another()
    job = await jobs_of(here).take_down(KEY, message_id="msg_1", signed_at=AT)
    assert (job.key, job.status, job.sizes) == (KEY, "queued", ())
    assert await Tombstones(there).find(KEY) == Tombstone(at=AT, job_id=job.id)
    assert not await Tombstones(there).is_taken_down(order(2).key)


async def test_a_repeated_message_is_answered_with_the_same_takedown(queue: JobQueue, jobs: JobService) -> None:
    ended = await taken_down(queue, jobs, message_id="msg_1")
    assert (await jobs.take_down(KEY, message_id="msg_1", signed_at=AT + 60)).id == ended
    assert (await jobs.tombstones.find(KEY) or Tombstone(at=0, job_id="")).at == AT
    assert (await jobs.take_down(KEY, message_id="msg_2", signed_at=AT + 60)).id != ended


async def test_a_takedown_that_runs_is_joined_and_its_tombstone_renewed(queue: JobQueue, jobs: JobService) -> None:
    first = await jobs.take_down(KEY, message_id="msg_1", signed_at=AT)
    await take(queue)
    assert (await jobs.take_down(KEY, message_id="msg_2", signed_at=AT + 60)).id == first.id
    assert await jobs.tombstones.find(KEY) == Tombstone(at=AT + 60, job_id=first.id)


async def test_a_later_post_ends_the_tombstone(queue: JobQueue, jobs: JobService) -> None:
    await taken_down(queue, jobs)
    assert (await jobs.submit(order(1), posted_at=AT + 1)).status == "queued"
    assert not await jobs.tombstones.is_taken_down(KEY)


async def test_by_default_a_post_is_of_now(queue: JobQueue, jobs: JobService) -> None:
    await jobs.take_down(KEY, message_id="msg_down", signed_at=int(time.time()) - 10)
    await (await take(queue)).finish(Status.COMPLETE, result={})
    await jobs.submit(order(1))
    assert not await jobs.tombstones.is_taken_down(KEY)


async def test_stragglers_are_refused_and_leave_the_tombstone(queue: JobQueue, jobs: JobService) -> None:
    await taken_down(queue, jobs)
    with pytest.raises(OrderTakenDown, match="was taken down; to publish it again, upload it"):
        await jobs.submit(order(1), posted_at=AT - 1)
    with pytest.raises(OrderTakenDown):
        await jobs.submit_unless_taken_down(order(1))
    with pytest.raises(Busy, match="in this second"):
        await jobs.submit(order(1), posted_at=AT)
    assert await jobs.tombstones.is_taken_down(KEY)
    assert (await jobs.submit_unless_taken_down(order(2))).status == "queued"


async def test_a_later_post_waits_until_the_takedown_has_ended(queue: JobQueue, jobs: JobService) -> None:
    await jobs.take_down(KEY, message_id="msg_down", signed_at=AT)
    with pytest.raises(Busy, match="is being taken down"):
        await jobs.submit(order(1), posted_at=AT + 1)
    await (await take(queue)).finish(Status.COMPLETE, result={})
    await jobs.submit(order(1), posted_at=AT + 1)


async def test_an_earlier_message_that_is_repeated_ends_no_tombstone(queue: JobQueue, jobs: JobService) -> None:
    posted = await jobs.submit(order(1), idempotency_key="msg_1", posted_at=AT - 60)
    await (await take(queue)).finish(Status.COMPLETE, result={})
    await taken_down(queue, jobs)
    assert (await jobs.submit(order(1), idempotency_key="msg_1", posted_at=AT + 60)).id == posted.id
    assert await jobs.tombstones.is_taken_down(KEY)


async def test_a_post_ends_no_tombstone_that_is_newer_than_the_one_it_found(queue: JobQueue, jobs: JobService) -> None:
    found = Tombstone(at=AT, job_id="0" * 32)
    await jobs.tombstones.add(KEY, Tombstone(at=AT + 60, job_id="1" * 32))
    assert await jobs.tombstones.end(KEY, found, posted_at=AT + 30) is None
    assert await jobs.tombstones.is_taken_down(KEY)


async def test_a_live_job_of_the_original_is_neither_joined_nor_joins(queue: JobQueue, jobs: JobService) -> None:
    posted = await jobs.submit(order(1), posted_at=AT - 1)
    assert (await jobs.take_down(KEY, message_id="msg_down", signed_at=AT)).id != posted.id


async def test_a_takedown_is_not_run_again(queue: JobQueue, jobs: JobService) -> None:
    ended = await taken_down(queue, jobs)
    with pytest.raises(JobEnded, match="request it again with DELETE"):
        await jobs.replay(ended)


async def test_a_takedown_that_the_full_queue_refuses_leaves_no_tombstone(queue: JobQueue) -> None:
    jobs = jobs_of(queue, queue_size=1)
    await jobs.submit(order(2))
    with pytest.raises(Busy):
        await jobs.take_down(KEY, message_id="msg_down", signed_at=AT)
    assert not await jobs.tombstones.is_taken_down(KEY)


@dataclass
class Unreachable:
    """Stands for a queue that does not respond."""

    asked: list[str] = field(default_factory=list)

    async def recall(self, name: str) -> str | None:
        self.asked.append(name)
        raise QueueUnavailable("The queue does not respond.")


async def test_page_views_do_not_depend_on_the_queue() -> None:
    queue = Unreachable()
    tombstones = Tombstones(queue)  # type: ignore[arg-type] # all of it that is called
    assert not await tombstones.is_known_taken_down(KEY)
    with pytest.raises(QueueUnavailable):
        await tombstones.is_taken_down(KEY)
    assert len(queue.asked) == 2
    assert "gall" not in queue.asked[0]
