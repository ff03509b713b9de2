"""SAQ's own worker on every queue."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import anyio
import pytest
from saq import Status, Worker

from tests.proxy.queues.asking import DEADLINE_SECONDS, eventually, stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from saq import Queue
    from saq.types import Context, Function

    from tests.proxy.queues.conftest import Another


pytestmark = pytest.mark.anyio

DELAY_SECONDS = 1.5
"""The retry delay of a failed job; without it, the job runs again within milliseconds."""


@asynccontextmanager
async def working(queue: Queue, *functions: tuple[str, Function[Context]]) -> AsyncIterator[None]:
    """Run one of SAQ's workers for the duration of the block."""
    worker = Worker(queue, functions, concurrency=2, dequeue_timeout=0.5)
    worker.SIGNALS = []
    await (
        queue.sweep()
    )  # instead of the worker's first one: on Redis, SAQ's sweep aborts a job that is just being dequeued
    running = asyncio.create_task(worker.start())
    try:
        yield
    finally:
        await worker.stop()
        await running


async def until_ended(queue: Queue, key: str) -> None:
    async def has_ended() -> bool:
        return (await stored(queue, key)).completed > 0

    await eventually(has_ended)


async def test_a_worker_runs_a_job_and_keeps_its_result(queue: Queue) -> None:
    async def add(_ctx: Context, *, a: int, b: int) -> int:
        return a + b

    async with working(queue, ("add", add)):
        assert await queue.apply("add", timeout=DEADLINE_SECONDS, a=1, b=2) == 3


async def test_a_failing_job_is_run_as_often_as_its_retries_say(queue: Queue) -> None:
    runs: list[int] = []

    async def fail(_ctx: Context) -> None:
        runs.append(1)
        raise ValueError("the paint was wet")

    async with working(queue, ("fail", fail)):
        await queue.enqueue("fail", key="a", retries=3)
        await until_ended(queue, "a")
    ended = await stored(queue, "a")
    assert (len(runs), ended.attempts, ended.status) == (3, 3, Status.FAILED)
    assert "the paint was wet" in (ended.error or "")


async def test_a_failing_job_that_is_to_wait_is_run_as_often_only_later(queue: Queue) -> None:
    runs: list[float] = []

    async def fail(_ctx: Context) -> None:
        runs.append(time.time())
        raise ValueError("the paint was wet")

    async with working(queue, ("fail", fail)):
        await queue.enqueue("fail", key="a", retries=3, retry_delay=DELAY_SECONDS)
        await until_ended(queue, "a")
    assert (len(runs), (await stored(queue, "a")).status) == (3, Status.FAILED)
    # A slow machine only lengthens the gaps. SAQ's own queues shorten them by up to 1 s: they drop the fraction.
    assert all(later - sooner >= DELAY_SECONDS - 1 for sooner, later in pairwise(runs))


async def test_a_job_over_its_timeout_is_cancelled(queue: Queue) -> None:
    cancelled = anyio.Event()

    async def hang(_ctx: Context) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with working(queue, ("hang", hang)):
        await queue.enqueue("hang", key="a", timeout=1)
        await until_ended(queue, "a")
    assert cancelled.is_set()
    assert (await stored(queue, "a")).status == Status.FAILED


async def test_a_running_job_that_is_aborted_is_cancelled(queue: Queue) -> None:
    started, cancelled = anyio.Event(), anyio.Event()

    async def hang(_ctx: Context) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with working(queue, ("hang", hang)):
        job = await queue.enqueue("hang", key="a", timeout=60)
        assert job is not None
        await started.wait()
        await (await stored(queue, "a")).abort("nobody wants it")
        await until_ended(queue, "a")
    assert cancelled.is_set()
    ended = await stored(queue, "a")
    assert (ended.status, ended.error) == (Status.ABORTED, "nobody wants it")


async def test_a_worker_that_stops_gives_its_job_back(queue: Queue) -> None:
    started = anyio.Event()

    async def hang(_ctx: Context) -> None:
        started.set()
        await anyio.sleep_forever()

    async with working(queue, ("hang", hang)):
        await queue.enqueue("hang", key="a", timeout=60)
        await started.wait()
    given_back = await stored(queue, "a")
    assert (given_back.status, given_back.attempts) == (Status.QUEUED, 1)


async def test_four_workers_run_every_one_of_400_jobs_once(another: Another) -> None:
    runs: Counter[int] = Counter()

    async def paint(_ctx: Context, *, number: int) -> None:
        runs[number] += 1

    queues = [await another() for _ in range(4)]
    async with AsyncExitStack() as workers:
        for queue in queues:
            await workers.enter_async_context(working(queue, ("paint", paint)))
        for number in range(400):
            await queues[0].enqueue("paint", number=number, timeout=60)

        async def is_drained() -> bool:
            return await queues[0].count("incomplete") == 0

        await eventually(is_drained)
    assert runs == Counter(range(400))
