"""A worker writes to its job only while the record is that of its own run, on every queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from saq import Job, Status
from saq.utils import now

from proxy.queues.runs import LeaseLost
from tests.proxy.queues.asking import counts, eventually, stored, sweep_in_an_hour, take, watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another

    Write = Callable[[Job], Awaitable[object]]

pytestmark = pytest.mark.anyio

WRITES: dict[str, Write] = {
    "complete": lambda job: job.finish(Status.COMPLETE, result={"sizes": 4}),
    "fail": lambda job: job.finish(Status.FAILED, error="the paint was wet"),
    "retry": lambda job: job.retry("the paint was wet"),
    "give back": lambda job: job.retry("cancelled"),
}
"""What a worker writes at the end of a run."""


async def hand_out(queue: JobQueue) -> Job:
    job = await queue.dequeue(timeout=5)
    assert job is not None
    return job


async def begin(job: Job, worker: str) -> None:
    """Store that a worker begins a job, as SAQ's worker does."""
    job.started, job.worker_id = now(), worker
    job.attempts += 1
    await job.update(status=Status.ACTIVE)


async def release(queue: JobQueue) -> None:
    """Sweep as if every worker had been silent for an hour, until one job is released."""
    clock = watch(queue)

    async def is_released() -> bool:
        clock.seconds += 3600
        return bool(await queue.sweep(abort=0.1))

    await eventually(is_released)


async def test_a_worker_that_stalls_between_taking_a_job_and_beginning_it_cannot_begin_what_another_holds(
    queue: JobQueue, another: Another
) -> None:
    await queue.enqueue("paint", key="a", retries=9, ttl=600)
    stalled = await hand_out(queue)
    other = await another()
    await release(other)
    held = await hand_out(other)
    with pytest.raises(LeaseLost):  # the other has taken it, and not begun it yet
        await begin(stalled, "stalled")
    await begin(held, "other")
    with pytest.raises(LeaseLost):
        await begin(stalled, "stalled")
    assert await other.touch(held)
    assert (await stored(queue, "a")).worker_id == "other"
    assert await counts(queue) == (0, 1, 1)


async def test_a_worker_that_stalls_cannot_begin_a_job_that_waits_again(queue: JobQueue, another: Another) -> None:
    await queue.enqueue("paint", key="a", retries=9)
    stalled = await hand_out(queue)
    await release(await another())
    with pytest.raises(LeaseLost):
        await begin(stalled, "stalled")
    assert (await stored(queue, "a")).status == Status.QUEUED
    assert await counts(queue) == (1, 0, 1)


async def test_a_worker_that_stalls_cannot_begin_a_job_that_has_ended(queue: JobQueue, another: Another) -> None:
    await queue.enqueue("paint", key="a", retries=9, ttl=600)
    stalled = await hand_out(queue)
    other = await another()
    await release(other)
    await (await take(other)).finish(Status.COMPLETE, result={"sizes": 4})
    with pytest.raises(LeaseLost):
        await begin(stalled, "stalled")
    ended = await stored(queue, "a")
    assert (ended.status, ended.result) == (Status.COMPLETE, {"sizes": 4})


@pytest.mark.parametrize("write", WRITES)
async def test_what_a_late_worker_writes_changes_nothing_of_the_run_of_another(
    queue: JobQueue, another: Another, write: str
) -> None:
    await queue.enqueue("paint", key="a", retries=9, ttl=600)
    late = await take(queue)
    other = await another()
    await sweep_in_an_hour(other)
    held = await take(other)
    before = await stored(queue, "a")
    await WRITES[write](late)
    assert late.completed == 0  # so that its end is not reported
    assert (await stored(queue, "a")).to_dict() == before.to_dict()
    assert await counts(queue) == (0, 1, 1)
    with pytest.raises(LeaseLost):
        await late.update(progress=0.5)
    assert await other.touch(held)
    await held.finish(Status.COMPLETE, result={"sizes": 4})
    assert (await stored(queue, "a")).status == Status.COMPLETE


@pytest.mark.parametrize("write", WRITES)
async def test_what_a_late_worker_writes_changes_nothing_of_a_job_that_ended(
    queue: JobQueue, another: Another, write: str
) -> None:
    await queue.enqueue("paint", key="a", retries=9, ttl=600)
    late = await take(queue)
    other = await another()
    await sweep_in_an_hour(other)
    await (await take(other)).finish(Status.COMPLETE, result={"colour": "red"})
    before = await stored(queue, "a")
    await WRITES[write](late)
    assert (await stored(queue, "a")).to_dict() == before.to_dict()
    assert await counts(queue) == (0, 0, 0)


@pytest.mark.parametrize("write", WRITES)
async def test_what_a_late_worker_writes_changes_nothing_of_the_next_job_under_its_key(
    queue: JobQueue, another: Another, write: str
) -> None:
    await queue.enqueue("paint", key="a", retries=9, ttl=600)
    late = await take(queue)
    other = await another()
    await sweep_in_an_hour(other)
    await (await take(other)).finish(Status.COMPLETE)
    await eventually(lambda: is_later(late))
    await other.enqueue("paint", key="a", colour="blue", retries=9)
    before = await stored(queue, "a")
    await WRITES[write](late)
    assert (await stored(queue, "a")).to_dict() == before.to_dict()
    assert await counts(queue) == (1, 0, 1)


async def is_later(job: Job) -> bool:
    """Return whether the clock has gone on since a job was enqueued; it counts in milliseconds."""
    return now() > job.queued


async def test_a_run_that_does_not_count_as_an_attempt_is_still_its_workers(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=9)
    job = await take(queue)
    job.attempts -= 1
    assert await queue.touch(job)
    await job.retry("the store refuses everything")
    assert (await take(queue)).attempts == 1


async def test_a_job_that_is_to_be_aborted_before_it_begins_still_is(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=9, ttl=600)
    job = await hand_out(queue)
    seen = await stored(queue, "a")
    if seen.status != Status.ACTIVE:
        return  # Redis stores that a job is active when it begins; until then, `abort` waits
    await seen.abort("nobody wants it")
    await begin(job, "slow")
    marked = await stored(queue, "a")
    assert (marked.status, marked.error) == (Status.ABORTING, "nobody wants it")
    assert await queue.touch(job)
    await job.finish(Status.ABORTED, error="nobody wants it")
    assert (await stored(queue, "a")).status == Status.ABORTED


ENDS: dict[str, Write] = {
    "complete": lambda job: job.finish(Status.COMPLETE, result={"sizes": 4}),
    "fail": lambda job: job.finish(Status.FAILED, error="the paint was wet"),
    "abort": lambda job: job.finish(Status.ABORTED, error="nobody wants it"),
}
"""What may end a run at the same time: its worker, and the watch for cancellations."""


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
async def test_the_first_end_of_a_run_remains_and_is_the_one_that_is_reported(
    queue: JobQueue, another: Another, first: str, second: str
) -> None:
    await queue.enqueue("paint", key="a", retries=9, ttl=600)
    worker = await take(queue)
    await (await stored(await another(), "a")).abort("nobody wants it")
    watch_copy = await stored(queue, "a")  # as SAQ's watch reads it, before it looks whether the task is done
    assert watch_copy.status == Status.ABORTING
    await ENDS[first](worker)
    before = await stored(queue, "a")
    await ENDS[second](watch_copy)
    assert (await stored(queue, "a")).to_dict() == before.to_dict()
    for copy in (worker, watch_copy):
        assert (copy.status, copy.result, copy.error) == (before.status, before.result, before.error)
        assert copy.completed == before.completed
    assert await counts(queue) == (0, 0, 0)
