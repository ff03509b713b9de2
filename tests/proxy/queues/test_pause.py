"""A pause, the facts that a queue keeps, and aborts, on every queue."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import anyio
import pytest
from saq import Status

from tests.proxy.queues.asking import counts, eventually, stored, take

if TYPE_CHECKING:
    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio


async def test_a_paused_queue_accepts_jobs_and_hands_none_out(queue: JobQueue) -> None:
    await queue.pause()
    await queue.enqueue("paint", key="a")
    assert await queue.dequeue(timeout=0.1) is None
    assert await counts(queue) == (1, 0, 1)
    await queue.resume()
    assert (await take(queue)).key == "a"


async def test_a_pause_holds_for_other_processes_and_after_a_restart(another: Another) -> None:
    here, there = await another(), await another()
    began = time.time()
    await here.pause()
    await here.enqueue("paint", key="a")
    await here.disconnect()
    assert await there.dequeue(timeout=0.1) is None
    since = await (await another()).paused_since()
    assert since is not None
    assert began - 1 <= since <= time.time() + 1


async def test_a_worker_that_waits_for_a_job_gets_none_once_the_queue_is_paused(another: Another) -> None:
    here, there = await another(), await another()
    waiting = asyncio.create_task(here.dequeue(timeout=1))
    await anyio.lowlevel.checkpoint()
    await there.pause()
    await there.enqueue("paint", key="a")
    assert await waiting is None
    assert await counts(there) == (1, 0, 1)


async def test_a_worker_that_waits_in_a_pause_gets_its_job_after_it(another: Another) -> None:
    here, there = await another(), await another()
    await there.pause()
    await there.enqueue("paint", key="a")
    taking = asyncio.create_task(take(here))
    await there.resume()
    assert (await taking).key == "a"


async def test_a_second_pause_changes_nothing_and_neither_does_a_second_end(queue: JobQueue) -> None:
    await queue.pause()
    since = await queue.paused_since()
    await queue.pause()
    assert await queue.paused_since() == since
    for _ in range(2):
        await queue.resume()
        assert await queue.paused_since() is None


async def test_a_pause_leaves_running_jobs_alone(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a")
    job = await take(queue)
    await queue.pause()
    assert await queue.touch(job)
    await job.finish(Status.COMPLETE)
    assert (await stored(queue, "a")).status == Status.COMPLETE


async def test_a_fact_is_stored_once_and_read_by_all(another: Another) -> None:
    here, there = await another(), await another()
    assert await here.remember("a", "first") == "first"
    assert await there.remember("a", "second") == "first"
    assert (await there.recall("a"), await there.recall("b")) == ("first", None)
    assert await there.forget("a")
    assert not await here.forget("a")
    assert await here.recall("a") is None


async def test_a_fact_expires(queue: JobQueue) -> None:
    await queue.remember("a", "first", seconds=1)

    async def is_gone() -> bool:
        await queue.sweep()
        return await queue.recall("a") is None

    await eventually(is_gone)
    assert await queue.remember("a", "second", seconds=60) == "second"


async def test_a_job_that_waits_for_a_retry_is_aborted_like_another(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a", retries=3, retry_delay=60)
    await (await take(queue)).retry("the paint was wet")
    await queue.abort(await stored(queue, "a"), "nobody wants it")
    ended = await stored(queue, "a")
    assert (ended.status, ended.error, ended.completed > 0) == (Status.ABORTED, "nobody wants it", True)
    assert await counts(queue) == (0, 0, 0)
    assert await queue.enqueue("paint", key="a") is not None


async def test_an_abort_does_not_undo_what_happened_since_the_job_was_read(queue: JobQueue) -> None:
    await queue.enqueue("paint", key="a")
    read_early = await stored(queue, "a")
    job = await take(queue)
    await queue.abort(read_early, "nobody wants it")
    marked = await stored(queue, "a")
    assert (marked.status, marked.attempts, marked.started) == (Status.ABORTING, 1, job.started)
    await job.finish(Status.COMPLETE)
    await queue.abort(read_early, "nobody wants it")
    assert (await stored(queue, "a")).status == Status.COMPLETE


async def test_an_aborted_job_without_a_ttl_is_forgotten(queue: JobQueue) -> None:
    job = await queue.enqueue("paint", key="a", ttl=-1)
    assert job is not None
    await job.abort("nobody wants it")
    assert await queue.job("a") is None
    assert await counts(queue) == (0, 0, 0)
