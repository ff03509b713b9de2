"""Heartbeats, and the takeover of jobs from silent workers, on every queue."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from saq import Status
from saq.utils import now

from proxy.queues.heartbeats import HEARTBEAT_SECONDS
from tests.proxy.queues.asking import counts, eventually, stored, sweep_in_an_hour, take, watch
from tests.waiting import until

if TYPE_CHECKING:
    from saq import Job

    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio


async def test_a_job_whose_worker_went_silent_goes_back_into_the_line(queue: JobQueue, another: Another) -> None:
    await queue.enqueue("paint", key="a", retries=2, timeout=0, heartbeat=30)
    job = await take(queue)
    assert await sweep_in_an_hour(await another()) == [job.id]
    waiting = await stored(queue, "a")
    assert (waiting.status, waiting.attempts, waiting.started, waiting.error) == (Status.QUEUED, 1, 0, "swept")
    assert (await take(queue)).attempts == 2
    assert await queue.sweep(abort=0.2) == []


async def test_a_job_that_has_no_attempts_left_ends_with_its_silent_worker(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=1, timeout=0, heartbeat=30)
    await take(queue)
    assert len(await sweep_in_an_hour(queue)) == 1
    ended = await stored(queue, "a")
    assert (ended.status, ended.error) == (Status.ABORTED, "swept")
    assert await counts(queue) == (0, 0, 0)


async def test_every_job_has_a_heartbeat_unless_it_says_otherwise(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a")
    await queue.enqueue("paint", key="b", heartbeat=3600)
    assert ((await stored(queue, "a")).heartbeat, (await stored(queue, "b")).heartbeat) == (HEARTBEAT_SECONDS, 3600)


async def test_a_touched_job_is_left_alone(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=2, timeout=0, heartbeat=30)
    job = await take(queue)
    clock = watch(queue)
    for _ in range(5):
        assert await queue.sweep(abort=0.2) == []
        clock.seconds += 20
        await until(lambda: is_later(job))
        assert await queue.touch(job)
    assert await queue.sweep(abort=0.2) == []
    assert (await stored(queue, "a")).status == Status.ACTIVE


async def is_later(job: Job) -> bool:
    """Return whether the clock has gone on since the last heartbeat of a job; it counts in milliseconds."""
    return now() > job.touched


@pytest.mark.parametrize("days", [-1, 3])
async def test_a_clock_that_is_set_takes_no_job_over_and_keeps_no_silent_one(
    queue: JobQueue, another: Another, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.enqueue("paint", key="a", retries=2, timeout=900)
    job = await take(queue)
    sweeper = await another()
    clock = watch(sweeper)
    await sweeper.sweep(abort=0.2)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
    assert await sweeper.sweep(abort=0.2) == []
    assert await queue.touch(job)
    assert await sweeper.sweep(abort=0.2) == []
    clock.seconds += 25
    assert await sweeper.sweep(abort=0.2) == [job.id]


async def test_of_many_that_sweep_at_once_one_takes_the_job_over(queue: JobQueue, another: Another) -> None:
    await queue.enqueue("paint", key="a", retries=9, timeout=0, heartbeat=30)
    await take(queue)
    sweepers = [queue, *[await another() for _ in range(3)]]
    clocks = [watch(one) for one in sweepers]
    for one in sweepers:
        await one.sweep(abort=0.2)
    for clock in clocks:
        clock.seconds += 3600
    swept = await asyncio.gather(*(one.sweep(abort=0.2) for one in sweepers))
    assert sum(map(len, swept)) == 1
    assert await counts(queue) == (1, 0, 1)


async def test_a_job_that_was_taken_and_never_begun_goes_back_into_the_line(queue: JobQueue, another: Another) -> None:
    await queue.enqueue("paint", key="a", retries=2, timeout=0, heartbeat=1)
    assert await queue.dequeue(timeout=1) is not None
    sweeper = await another()
    assert await sweeper.sweep(abort=0.2) == []  # its worker may be about to start it

    async def is_taken_over() -> bool:
        return bool(await sweeper.sweep(abort=0.2))

    await eventually(is_taken_over)
    assert (await take(queue)).key == "a"


async def test_a_late_touch_leaves_an_ended_job_as_it_is(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", ttl=600)
    job = await take(queue)
    late = queue.copy(job)
    await job.finish(Status.COMPLETE, result={"sizes": 4})
    assert late is not None
    assert not await queue.touch(late)
    ended = await stored(queue, "a")
    assert (ended.status, ended.result) == (Status.COMPLETE, {"sizes": 4})


async def test_a_worker_that_was_thought_dead_learns_that_the_job_is_another_s(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=3, timeout=0, heartbeat=30)
    job = await take(queue)
    await sweep_in_an_hour(queue)
    assert not await queue.touch(job)
    again = await take(queue)
    assert not await queue.touch(job)
    assert await queue.touch(again)


async def test_a_worker_that_writes_to_its_job_while_it_touches_it_has_not_lost_it(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a")
    job = await take(queue)
    for number in range(50):
        words = [queue.touch(job), job.update(meta={"number": number})]
        told = await asyncio.gather(*(words if number % 2 else reversed(words)))
        assert False not in told
    assert (await stored(queue, "a")).meta == {"number": 49}


async def test_a_touched_job_that_is_to_be_aborted_still_is(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a")
    job = await take(queue)
    await (await stored(queue, "a")).abort("nobody wants it")
    assert await queue.touch(job)
    assert (await stored(queue, "a")).status == Status.ABORTING


async def test_a_job_that_is_not_there_cannot_be_touched(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", ttl=-1)
    job = await take(queue)
    await job.finish(Status.COMPLETE)
    assert not await queue.touch(job)


async def test_a_job_that_was_put_off_and_ended_can_be_enqueued_again_at_once(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=2, retry_delay=1)
    await (await take(queue)).retry("the paint was wet")
    await (await take(queue)).finish(Status.COMPLETE)
    assert await queue.enqueue("paint", key="a") is not None
    assert (await take(queue)).attempts == 1
