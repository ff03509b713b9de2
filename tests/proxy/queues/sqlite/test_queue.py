"""The guarantees of the embedded queue, beyond the common contract."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from saq import Status
from saq.utils import now

from proxy.errors import QueueUnavailable
from proxy.queues.runs import LeaseLost
from proxy.queues.sqlite.queue import SqliteQueue
from tests.held import flushes, no_file_above
from tests.proxy.queues.asking import counts, eventually, stored, sweep_in_an_hour, take, watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from saq import Queue

    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio


@pytest.fixture
def make_queue(tmp_path: Path) -> Callable[[], Queue]:
    return lambda: SqliteQueue(tmp_path / "folder" / "queue.db", name="images")


async def test_jobs_are_taken_in_the_order_of_their_enqueueing(queue: Queue) -> None:
    for number in range(20):
        await queue.enqueue("paint", key=str(number))
    assert [(await take(queue)).key for _ in range(20)] == [str(number) for number in range(20)]


async def test_a_job_that_was_due_earlier_is_taken_earlier(queue: Queue) -> None:
    await queue.enqueue("paint", key="now")
    await queue.enqueue("paint", key="an hour ago", scheduled=int(time.time()) - 3600)
    assert [(await take(queue)).key for _ in range(2)] == ["an hour ago", "now"]


async def test_a_retried_job_goes_to_the_end_of_the_line(queue: Queue) -> None:
    await queue.enqueue("paint", key="a", retries=2)
    await queue.enqueue("paint", key="b")
    await (await take(queue)).retry("the paint was wet")
    assert [(await take(queue)).key for _ in range(2)] == ["b", "a"]


async def test_a_wait_for_a_job_ends_when_it_is_interrupted_and_the_next_one_does_not(queue: JobQueue) -> None:
    waiting = asyncio.create_task(queue.dequeue(timeout=60))
    await asyncio.sleep(0)
    queue.interrupt()
    assert await asyncio.wait_for(waiting, 5) is None
    waiting = asyncio.create_task(queue.dequeue(timeout=60))
    await queue.enqueue("paint", key="a")
    assert (await asyncio.wait_for(waiting, 5)) is not None


async def test_a_fraction_of_a_second_is_waited_for(queue: Queue) -> None:
    await queue.enqueue("paint", key="a", retries=2, retry_delay=0.4)
    await (await take(queue)).retry("the paint was wet")
    began = time.monotonic()
    assert await queue.dequeue(timeout=5) is not None
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_dequeue_loses_no_job_and_no_attempt(queue: Queue, steps: int) -> None:
    await queue.enqueue("paint", key="a")
    await queue.enqueue("paint", key="b")
    taking = asyncio.create_task(queue.dequeue())
    for _ in range(steps):
        await asyncio.sleep(0)
    taking.cancel()
    [outcome] = await asyncio.gather(taking, return_exceptions=True)
    if isinstance(outcome, asyncio.CancelledError):
        taken = [await take(queue) for _ in range(2)]
        assert sorted((job.key, job.attempts) for job in taken) == [("a", 1), ("b", 1)]


async def test_jobs_that_are_active_when_the_queue_is_closed_are_taken_over(another: Another) -> None:
    here, there = await another(), await another()
    await here.enqueue("paint", key="a", retries=2)
    await take(here)
    await here.disconnect()
    assert await there.sweep() == ["a"]
    assert (await take(there)).attempts == 2


async def test_a_death_before_the_worker_counted_the_attempt_is_an_attempt(another: Another) -> None:
    here, there = await another(), await another()
    await here.enqueue("paint", key="a", retries=1)
    await here.dequeue()
    await here.disconnect()
    await there.sweep()
    job = await stored(there, "a")
    assert (job.status, job.attempts) == (Status.ABORTED, 1)


async def test_an_abort_between_dequeue_and_the_first_update_is_not_forgotten(queue: Queue) -> None:
    await queue.enqueue("paint", key="a")
    job = await queue.dequeue()
    assert job is not None
    await (await stored(queue, "a")).abort("nobody wants it")
    await job.update(status=Status.ACTIVE)
    await job.update(progress=0.5)
    marked = await stored(queue, "a")
    assert (marked.status, marked.error) == (Status.ABORTING, "nobody wants it")


async def test_an_abort_leaves_a_job_alone_that_has_ended(queue: Queue) -> None:
    await queue.enqueue("paint", key="a")
    await (await take(queue)).finish(Status.COMPLETE, result=4)
    await (await stored(queue, "a")).abort("too late")
    job = await stored(queue, "a")
    assert (job.status, job.error) == (Status.COMPLETE, None)


async def test_a_late_worker_cannot_end_the_job_that_has_its_key_now(queue: Queue) -> None:
    await queue.enqueue("paint", key="a")
    late = await take(queue)
    await late.finish(Status.COMPLETE)

    async def is_later() -> bool:
        return now() > late.queued

    await eventually(is_later)
    await queue.enqueue("paint", key="a")
    await late.finish(Status.ABORTED)
    with pytest.raises(LeaseLost):
        await late.update(status=Status.ACTIVE)
    await late.retry("late")
    await late.abort("late")
    assert await counts(queue) == (1, 0, 1)


async def test_a_stuck_job_that_was_to_be_aborted_is_not_run_again(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=9, timeout=60)
    await (await take(queue)).abort("nobody wants it")
    assert await sweep_in_an_hour(queue) == ["a"]
    ended = await stored(queue, "a")
    assert (ended.status, ended.error) == (Status.ABORTED, "nobody wants it")


@pytest.mark.parametrize("ttl", [-1, 600])
async def test_a_stuck_job_that_its_worker_lets_go_is_run_again_though_the_process_that_swept_it_ends(
    another: Another, ttl: int
) -> None:
    here, there = await another(), await another()
    await here.enqueue("paint", key="a", retries=2, timeout=60, ttl=ttl)
    job = await take(here)
    sweeping = asyncio.create_task(sweep_in_an_hour(there, abort=600.0))

    async def is_asked_to_end() -> bool:
        return (await stored(here, "a")).status == Status.ABORTING

    await eventually(is_asked_to_end)
    sweeping.cancel()
    await asyncio.wait([sweeping])
    asked = await stored(here, "a")
    await job.finish(Status.ABORTED, error=here.swept_error_message)
    await here.finish_abort(asked)  # as SAQ's worker does after its job's function has ended
    assert not job.completed  # so nobody is told that it has ended
    assert (await take(there)).attempts == 2


async def test_a_stuck_job_without_attempts_left_ends_when_its_worker_lets_it_go(another: Another) -> None:
    here, there = await another(), await another()
    await here.enqueue("paint", key="a", retries=1, timeout=60, ttl=600)
    job = await take(here)
    sweeping = asyncio.create_task(sweep_in_an_hour(there, abort=600.0))

    async def is_asked_to_end() -> bool:
        return (await stored(here, "a")).status == Status.ABORTING

    await eventually(is_asked_to_end)
    await job.finish(Status.ABORTED, error=here.swept_error_message)
    assert job.completed
    assert await sweeping == ["a"]
    assert (await stored(there, "a")).status == Status.ABORTED


async def test_a_job_that_ended_while_it_was_to_be_released_is_not_run_again(another: Another) -> None:
    here, there = await another(), await another()
    await here.enqueue("paint", key="a", retries=2, timeout=60, ttl=-1)
    job = await take(here)
    sweeping = asyncio.create_task(sweep_in_an_hour(there, abort=1.0))

    async def is_asked_to_end() -> bool:
        return (await stored(here, "a")).status == Status.ABORTING

    await eventually(is_asked_to_end)
    await job.finish(Status.COMPLETE)
    assert await sweeping == ["a"]
    assert await counts(there) == (0, 0, 0)


async def test_one_sweep_at_a_time_asks_stuck_jobs_to_end(another: Another) -> None:
    here, there = await another(), await another()
    await here.enqueue("paint", key="a", retries=9, timeout=60)
    await take(here)
    for one in (here, there):
        clock = watch(one)
        await one.sweep(abort=0.1)
        clock.seconds += 3600
    swept = await asyncio.gather(here.sweep(abort=0.3), there.sweep(abort=0.3))
    assert sorted(swept) == [[], ["a"]]
    assert here.retried + there.retried == 1


async def test_a_new_folder_is_flushed_with_all_that_is_above_it(tmp_path: Path) -> None:
    queue = SqliteQueue(tmp_path / "var" / "jobs" / "queue.db")
    with flushes() as flushed:
        await queue.connect()
    await queue.disconnect()
    assert {tmp_path, tmp_path / "var"} <= set(flushed)


async def test_two_names_are_two_queues_in_one_file(tmp_path: Path) -> None:
    one, two = SqliteQueue(tmp_path / "queue.db", name="one"), SqliteQueue(tmp_path / "queue.db", name="two")
    await one.connect()
    await two.connect()
    await one.enqueue("paint", key="a")
    assert await two.enqueue("paint", key="a") is not None
    assert (await counts(one), await counts(two)) == ((1, 0, 1), (1, 0, 1))
    await one.disconnect()
    await two.disconnect()


async def test_jobs_are_told_by_the_page_with_those_that_run_first(queue: Queue) -> None:
    for number in range(5):
        await queue.enqueue("paint", key=str(number))
    await take(queue)
    pages = [(await queue.info(jobs=True, offset=offset, limit=2))["jobs"] for offset in (0, 2, 4)]
    assert [[job["key"] for job in page] for page in pages] == [["0", "1"], ["2", "3"], ["4"]]


async def test_what_cannot_be_written_as_json_is_refused_and_others_are_not(queue: Queue) -> None:
    with pytest.raises(TypeError):
        await queue.enqueue("paint", key="a", colour=object())
    assert await queue.job("a") is None


async def test_a_long_line_is_told_as_far_as_was_asked(queue: JobQueue) -> None:
    await asyncio.gather(*(queue.enqueue("paint", key=str(number), kwargs={"n": number}) for number in range(300)))
    snapshot = await queue.snapshot({"7"}, limit=250)
    assert (len(snapshot.keys), len(snapshot.new), snapshot.waiting) == (250, 249, 300)
    assert snapshot.new["8"] == {"n": 8}


async def test_a_queue_can_be_closed_twice_and_opened_again(queue: Queue) -> None:
    await queue.enqueue("paint", key="a")
    await queue.disconnect()
    await queue.disconnect()
    with pytest.raises(QueueUnavailable, match="not connected"):
        await queue.count("queued")
    await queue.connect()
    await queue.connect()
    assert await queue.count("queued") == 1


async def test_jobs_are_counted_by_the_kinds_of_saq_alone(queue: Queue) -> None:
    with pytest.raises(ValueError, match="queued, active, incomplete"):
        await queue.count("done")  # type: ignore[arg-type]


async def test_a_worker_rests_before_it_is_told_that_the_queue_fails(queue: Queue) -> None:
    await queue.disconnect()
    began = time.monotonic()
    with pytest.raises(QueueUnavailable):
        await queue.dequeue()
    assert time.monotonic() - began >= 0.9


async def test_a_queue_that_cannot_be_written_is_found_out_although_it_can_be_read(
    queue: JobQueue, tmp_path: Path
) -> None:
    await queue.enqueue("paint", key="a")
    with no_file_above((tmp_path / "folder" / "queue.db-wal").stat().st_size):
        assert await queue.count("queued") == 1
        with pytest.raises(QueueUnavailable):
            await queue.enqueue("paint", key="b")
        with pytest.raises(QueueUnavailable):
            await queue.check()
    await queue.check()


async def test_a_queue_whose_file_is_gone_takes_nothing_and_says_so(queue: JobQueue, tmp_path: Path) -> None:
    (tmp_path / "folder" / "queue.db").unlink()
    with pytest.raises(QueueUnavailable, match="deleted or moved while it was open"):
        await queue.enqueue("paint", key="a")
    with pytest.raises(QueueUnavailable, match="deleted or moved while it was open"):
        await queue.check()
