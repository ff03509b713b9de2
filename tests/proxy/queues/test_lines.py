"""Snapshots of every queue, and the index of live jobs built from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from saq import Status

from proxy.jobs.live_jobs import LiveIndex
from proxy.jobs.request import JobRequest
from tests.proxy.queues.asking import eventually, take

if TYPE_CHECKING:
    from proxy.queues.base import JobQueue

pytestmark = pytest.mark.anyio

ORDER = JobRequest(key="gall/1/1_1_original.jpg")


async def put(queue: JobQueue, *keys: str) -> None:
    for key in keys:
        await queue.enqueue("paint", key=key, kwargs={"key": ORDER.key}, retries=2)


async def test_those_who_wait_or_run_are_in_line_and_strangers_are_told_with_their_orders(queue: JobQueue) -> None:
    await put(queue, "a", "b", "c", "d")
    await (await take(queue)).finish(Status.COMPLETE)
    await take(queue)
    snapshot = await queue.snapshot({"c", "long gone"}, limit=100)
    assert (snapshot.keys, snapshot.waiting) == ({"b", "c", "d"}, 2)
    assert snapshot.new == {"b": {"key": ORDER.key}, "d": {"key": ORDER.key}}


async def test_the_one_who_waits_for_longest_tells_since_when_the_line_stands(queue: JobQueue) -> None:
    assert (await queue.snapshot(set(), limit=100)).oldest is None
    first = await queue.enqueue("paint", key="a")
    await put(queue, "b")
    assert first is not None
    assert (await queue.snapshot(set(), limit=100)).oldest == pytest.approx(first.queued / 1000)


async def test_those_who_were_put_off_wait_too(queue: JobQueue) -> None:
    await put(queue, "a", "b")
    job = await take(queue)
    job.retry_delay = 60
    await job.retry("the paint was wet")
    assert await queue.count_waiting() == 2


async def test_a_job_that_has_ended_is_forgotten(queue: JobQueue) -> None:
    live = LiveIndex(queue)
    await put(queue, "a")
    await live.refresh()
    assert live.covering(ORDER) == ["a"]
    await (await take(queue)).finish(Status.COMPLETE)

    async def is_forgotten() -> bool:
        await live.refresh()
        return not live.covering(ORDER)

    await eventually(is_forgotten)


async def test_a_job_on_its_way_into_the_queue_is_not_forgotten(queue: JobQueue) -> None:
    live = LiveIndex(queue)
    live.add("a", ORDER)
    await live.refresh()  # the job is not in the queue yet
    await put(queue, "a")
    assert live.covering(ORDER) == ["a"]
    assert list(await live.find([], originals=[ORDER.key])) == ["a"]


async def test_a_job_that_never_came_into_the_queue_is_forgotten_by_those_who_decide(queue: JobQueue) -> None:
    live = LiveIndex(queue)
    live.add("a", ORDER)
    assert await live.find([], originals=[ORDER.key]) == {}
    assert live.covering(ORDER) == []
