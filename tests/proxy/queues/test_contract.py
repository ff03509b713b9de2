"""The contract of every queue: the embedded one, and SAQ's on real servers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import anyio
import pytest
from saq import Status

from proxy.queues.base import DEFERRED, is_deferred
from tests.proxy.queues.asking import DEADLINE_SECONDS, counts, eventually, stored, sweep_in_an_hour, take

if TYPE_CHECKING:
    from saq import Queue

    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another

LONG_SECONDS = 6
"""Longer than one call of a server may take."""

pytestmark = pytest.mark.anyio


async def test_an_enqueued_job_can_be_read_and_counted(queue: Queue) -> None:
    assert await queue.enqueue("paint", key="a", colour="red") is not None
    job = await stored(queue, "a")
    assert (job.function, job.kwargs, job.status) == ("paint", {"colour": "red"}, Status.QUEUED)
    assert await counts(queue) == (1, 0, 1)


async def test_a_dequeued_job_is_active_and_can_be_finished_with_a_result(queue: Queue) -> None:
    await queue.enqueue("paint", key="a")
    job = await take(queue)
    assert (job.key, (await stored(queue, "a")).status) == ("a", Status.ACTIVE)
    assert await counts(queue) == (0, 1, 1)
    await job.finish(Status.COMPLETE, result={"sizes": 4})
    ended = await stored(queue, "a")
    assert (ended.status, ended.result, ended.progress) == (Status.COMPLETE, {"sizes": 4}, 1.0)
    assert await counts(queue) == (0, 0, 0)


async def test_an_empty_queue_gives_nothing_within_the_timeout(queue: Queue) -> None:
    assert await queue.dequeue(timeout=0.2) is None


async def test_a_waiting_worker_gets_the_job_that_comes(another: Another) -> None:
    here, there = await another(), await another()
    taken: list[str] = []

    async def wait() -> None:
        taken.append((await take(there)).key)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        await here.enqueue("paint", key="a")
    assert taken == ["a"]


async def test_a_key_is_enqueued_once_while_its_job_is_live(queue: Queue) -> None:
    assert await queue.enqueue("paint", key="a", colour="red") is not None
    assert await queue.enqueue("paint", key="a", colour="blue") is None
    await take(queue)
    assert await queue.enqueue("paint", key="a", colour="blue") is None
    assert (await stored(queue, "a")).kwargs == {"colour": "red"}


@pytest.mark.parametrize("end", [Status.COMPLETE, Status.FAILED, Status.ABORTED])
async def test_a_key_whose_job_ended_can_be_enqueued_again(queue: Queue, end: Status) -> None:
    await queue.enqueue("paint", key="a", colour="red")
    await (await take(queue)).finish(end)
    assert await queue.enqueue("paint", key="a", colour="blue") is not None
    again = await take(queue)
    assert (again.kwargs, again.attempts) == ({"colour": "blue"}, 1)


async def test_a_retried_job_is_taken_again_with_its_attempts_and_error(queue: Queue) -> None:
    await queue.enqueue("paint", key="a", retries=3)
    await (await take(queue)).retry("the paint was wet")
    assert (await stored(queue, "a")).status == Status.QUEUED
    again = await take(queue)
    assert (again.attempts, again.error) == (2, "the paint was wet")


async def test_a_retry_with_a_delay_waits_for_it(queue: Queue) -> None:
    await queue.enqueue("paint", key="a", retries=3, retry_delay=2)
    await (await take(queue)).retry("the paint was wet")
    assert await counts(queue) == (0, 0, 1)
    assert (await take(queue)).attempts == 2


async def test_a_scheduled_job_waits_for_its_time(queue: Queue) -> None:
    scheduled = int(time.time()) + 2
    await queue.enqueue("paint", key="a", scheduled=scheduled)
    assert await counts(queue) == (0, 0, 1)
    assert (await queue.info())["scheduled"] == 1
    assert (await take(queue)).key == "a"
    assert time.time() >= scheduled


async def test_an_aborted_job_that_waited_is_never_taken(queue: Queue) -> None:
    job = await queue.enqueue("paint", key="a")
    assert job is not None
    await job.abort("nobody wants it")
    ended = await stored(queue, "a")
    assert (ended.status, ended.error) == (Status.ABORTED, "nobody wants it")
    assert await queue.dequeue(timeout=0.2) is None
    assert await counts(queue) == (0, 0, 0)


async def test_an_aborted_job_that_runs_is_marked_for_its_worker(queue: Queue) -> None:
    await queue.enqueue("paint", key="a")
    await (await take(queue)).abort("nobody wants it")
    marked = await stored(queue, "a")
    assert (marked.status, marked.error) == (Status.ABORTING, "nobody wants it")
    await queue.finish_abort(marked)
    assert (await stored(queue, "a")).status == Status.ABORTED


async def test_an_update_keeps_the_status_unless_it_gives_one(queue: Queue) -> None:
    await queue.enqueue("paint", key="a")
    job = await take(queue)
    await job.update(progress=0.5, meta={"sizes": ["small"]})
    seen = await stored(queue, "a")
    assert (seen.status, seen.progress, seen.meta) == (Status.ACTIVE, 0.5, {"sizes": ["small"]})


async def test_a_job_that_runs_too_long_goes_back_into_the_line(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=2, timeout=60, heartbeat=10_000)
    job = await take(queue)
    assert await sweep_in_an_hour(queue) == [job.id]
    again = await take(queue)
    assert (again.key, again.attempts, again.error) == ("a", 2, "swept")


async def test_a_job_that_runs_too_long_ends_when_it_has_no_attempts_left(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=1, timeout=60, heartbeat=10_000)
    job = await take(queue)
    assert await sweep_in_an_hour(queue) == [job.id]
    ended = await stored(queue, "a")
    assert (ended.status, ended.error) == (Status.ABORTED, "swept")
    assert await counts(queue) == (0, 0, 0)


async def test_a_job_within_its_time_is_left_alone(queue: Queue) -> None:
    await queue.enqueue("paint", key="a", timeout=60)
    await take(queue)
    assert await queue.sweep(lock=1, abort=0.2) == []
    assert (await stored(queue, "a")).status == Status.ACTIVE


async def test_an_ended_job_is_forgotten_after_its_ttl(queue: Queue) -> None:
    await queue.enqueue("paint", key="a", ttl=1)
    await (await take(queue)).finish(Status.COMPLETE)
    assert (await stored(queue, "a")).status == Status.COMPLETE

    async def is_gone() -> bool:
        await queue.sweep(lock=1)
        return await queue.job("a") is None

    await eventually(is_gone)


async def test_a_job_without_a_ttl_is_forgotten_at_once(queue: Queue) -> None:
    await queue.enqueue("paint", key="a", ttl=-1)
    await (await take(queue)).finish(Status.COMPLETE)
    assert await queue.job("a") is None


async def test_jobs_are_read_in_the_order_of_their_keys(queue: Queue) -> None:
    await queue.enqueue("paint", key="a")
    await queue.enqueue("paint", key="b")
    found = await queue.jobs(["b", "none of that key", "a"])
    assert [job and job.key for job in found] == ["b", None, "a"]


async def test_jobs_are_walked_by_their_statuses(queue: Queue) -> None:
    for number in range(7):
        await queue.enqueue("paint", key=str(number))
    done = await take(queue)
    await done.finish(Status.COMPLETE)
    waiting = [job.key async for job in queue.iter_jobs([Status.QUEUED], batch_size=2)]
    assert sorted([*waiting, done.key]) == [str(number) for number in range(7)]
    assert [job.key async for job in queue.iter_jobs([Status.COMPLETE], batch_size=2)] == [done.key]


async def test_workers_and_jobs_are_told(queue: Queue) -> None:
    await queue.enqueue("paint", key="a")
    await queue.worker_info("painter", queue_key=queue.name, metadata={"brush": "small"}, ttl=60)
    told = await queue.info(jobs=True)
    assert (told["name"], told["queued"], told["active"], told["scheduled"]) == (queue.name, 1, 0, 0)
    assert told["workers"]["painter"]["metadata"] == {"brush": "small"}
    assert [job["key"] for job in told["jobs"]] == ["a"]


async def test_a_job_refreshes_until_it_ends(queue: Queue) -> None:
    asked = await queue.enqueue("paint", key="a")
    assert asked is not None
    job = await take(queue)

    async def is_seen() -> bool:
        await job.finish(Status.COMPLETE)  # repeatedly: on Redis a late subscriber misses earlier messages
        return asked.status == Status.COMPLETE

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asked.refresh, DEADLINE_SECONDS)
        await eventually(is_seen)


async def test_a_queue_in_order_passes_its_check_which_counts_for_no_worker(queue: JobQueue) -> None:
    for _ in range(2):
        await queue.check()
    assert await queue.count("incomplete") == 0
    assert all(report["stats"] is None for report in (await queue.info())["workers"].values())


@pytest.mark.parametrize("days", [-1, 3])
async def test_a_clock_that_is_set_stops_no_job(queue: JobQueue, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    await queue.enqueue("paint", key="a", retries=3, retry_delay=1)
    await (await take(queue)).retry("the paint was wet")
    await queue.enqueue("paint", key="b", scheduled=int(await queue.clock()) + 1)
    await queue.enqueue("paint", key="c")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
    await queue.enqueue("paint", key="d")
    taken = [(await take(queue)).key for _ in range(4)]
    assert sorted(taken) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("days", [-1, 3])
async def test_a_clock_that_was_set_while_nobody_worked_stops_no_job(
    queue: JobQueue, another: Another, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.enqueue("paint", key="a", retries=3, retry_delay=1)
    await (await take(queue)).retry("the paint was wet")
    await queue.disconnect()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
    assert (await take(await another())).key == "a"


async def test_a_wait_that_another_process_began_while_the_clock_was_fast_ends(
    queue: JobQueue, another: Another, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, real = await another(), time.time
    await queue.enqueue("paint", key="a", retries=3, retry_delay=1)
    job = await take(other)
    assert await queue.dequeue(timeout=0.01) is None  # it sees the clock before and after, and nothing in between
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    await job.retry("the paint was wet")
    monkeypatch.setattr(time, "time", real)
    await queue.sweep()
    assert (await take(queue)).key == "a"


@pytest.mark.parametrize("attempts", [1, 1024, 1025, 100_000])
async def test_a_job_is_put_back_however_often_it_was(queue: JobQueue, attempts: int) -> None:
    await queue.enqueue("paint", key="a", retries=1_000_000, retry_delay=0.01, retry_backoff=0.5)
    job = await take(queue)
    job.attempts = attempts
    await job.retry("the paint was wet")
    assert (await take(queue)).attempts == attempts + 1


@pytest.mark.slow
async def test_a_wait_that_is_longer_than_any_timeout_of_a_server_gets_the_job_that_comes(another: Another) -> None:
    here, there = await another(), await another()
    began = time.monotonic()
    assert await here.dequeue(timeout=LONG_SECONDS) is None
    assert time.monotonic() - began >= LONG_SECONDS - 0.1
    waiting = asyncio.create_task(here.dequeue())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), LONG_SECONDS)
    await there.enqueue("paint", key="a")
    job = await asyncio.wait_for(waiting, DEADLINE_SECONDS)
    assert job is not None
    assert job.key == "a"


async def test_a_fact_is_stored_once_and_read_by_all(another: Another) -> None:
    here, there = await another(), await another()
    assert await here.recall("colour") is None
    assert await here.remember("colour", "red") == "red"
    assert await there.remember("colour", "blue", seconds=60) == "red"
    assert await there.recall("colour") == "red"
    await there.overwrite("colour", "blue", seconds=60)
    assert await here.remember("colour", "red") == "blue"
    assert not await here.forget("colour", value="red")
    assert await here.forget("colour", value="blue")
    assert not await here.forget("colour")


async def test_a_fact_with_an_end_is_forgotten(queue: JobQueue) -> None:
    await queue.remember("colour", "red", seconds=1)

    async def is_gone() -> bool:
        await queue.sweep(lock=1)
        return await queue.recall("colour") is None

    await eventually(is_gone)


async def test_deferred_jobs_are_counted_apart_and_taken_in_their_turn(queue: JobQueue) -> None:
    for key in ("a", "b"):
        await queue.enqueue("paint", key=key, retries=9)
    (await take(queue)).priority = DEFERRED  # only `retry` stores it
    job = await take(queue)
    job.priority, job.retry_delay = DEFERRED, 0.5
    await job.retry("an unexpected error")
    await queue.enqueue("paint", key="c")
    assert (await queue.count_deferred(), await queue.count_waiting()) == (1, 1)
    assert is_deferred(await queue.job(job.key))
    taken = [await take(queue) for _ in range(2)]
    assert sorted(one.key for one in taken) == ["b", "c"]
    assert (await queue.count_deferred(), await queue.count_waiting()) == (0, 0)
    again = next(one for one in taken if one.key == "b")
    again.priority = 0
    await again.retry("another error")
    assert (await queue.count_deferred(), await queue.count_waiting()) == (0, 1)


async def test_a_deferred_job_that_is_aborted_is_not_counted(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=9)
    job = await take(queue)
    job.priority, job.retry_delay = DEFERRED, 3600
    await job.retry("an unexpected error")
    await (await stored(queue, "a")).abort("nobody wants it")
    assert (await queue.count_deferred(), await queue.count_waiting()) == (0, 0)
