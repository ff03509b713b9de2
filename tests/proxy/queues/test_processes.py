"""The embedded queue when processes are killed."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from saq import Status

from proxy.queues.factory import open_queue
from tests.proxy.queues.asking import DEADLINE_SECONDS, stored, take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from saq import Queue

    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'queue.db'}"


@pytest.fixture
def make_queue(url: str) -> Callable[[], Queue]:
    return lambda: open_queue(url, name="images")


@asynccontextmanager
async def another_process(play: str, url: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.proxy.queues.child", play, url, stdout=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: Process) -> str:
    """Return the next key that the process prints; "" if it has ended, even in the middle of a line."""
    assert process.stdout is not None
    snapshot = await asyncio.wait_for(process.stdout.readline(), DEADLINE_SECONDS)
    return snapshot.decode().removesuffix("\n") if snapshot.endswith(b"\n") else ""


async def all_said(process: Process) -> list[str]:
    return [key async for key in _words(process)]


async def _words(process: Process) -> AsyncIterator[str]:
    while key := await said(process):
        yield key


async def kill(process: Process) -> None:
    process.kill()
    await process.wait()


async def test_the_job_of_a_process_that_was_killed_is_taken_over_by_the_next_sweep(url: str, queue: Queue) -> None:
    await queue.enqueue("paint", key="a", retries=2, timeout=0)
    async with another_process("hang", url) as process:
        assert await said(process) == "a"
        assert await queue.sweep() == []
        await kill(process)
        assert await queue.sweep() == ["a"]
    again = await take(queue)
    assert (again.key, again.attempts, again.error) == ("a", 2, "swept")


async def test_the_job_of_a_process_that_was_killed_is_taken_over_by_the_next_process(
    url: str, queue: Queue, another: Another
) -> None:
    await queue.enqueue("paint", key="a", retries=2, timeout=0)
    async with another_process("hang", url) as process:
        assert await said(process) == "a"
        await kill(process)
    await another()
    job = await stored(queue, "a")
    assert (job.status, job.attempts, job.started) == (Status.QUEUED, 1, 0)


async def test_a_job_that_has_no_attempts_left_ends_with_the_process_that_was_killed(url: str, queue: Queue) -> None:
    await queue.enqueue("paint", key="a", retries=1, timeout=0)
    async with another_process("hang", url) as process:
        assert await said(process) == "a"
        await kill(process)
    assert await queue.sweep() == ["a"]
    job = await stored(queue, "a")
    assert (job.status, job.error, job.attempts) == (Status.ABORTED, "swept", 1)


async def test_a_job_that_was_to_be_aborted_ends_with_the_process_that_was_killed(url: str, queue: Queue) -> None:
    await queue.enqueue("paint", key="a", retries=9, timeout=0)
    async with another_process("hang", url) as process:
        assert await said(process) == "a"
        await (await stored(queue, "a")).abort("nobody wants it")
        await kill(process)
    await queue.sweep()
    job = await stored(queue, "a")
    assert (job.status, job.error) == (Status.ABORTED, "nobody wants it")


async def test_two_processes_drain_a_queue_and_take_every_job_once(url: str, queue: Queue) -> None:
    await asyncio.gather(*(queue.enqueue("paint", key=str(number)) for number in range(300)))
    async with AsyncExitStack() as processes:
        both = [await processes.enter_async_context(another_process("drain", url)) for _ in range(2)]
        taken = await asyncio.gather(*map(all_said, both))
    assert Counter(taken[0] + taken[1]) == Counter(str(number) for number in range(300))
    assert await queue.count("incomplete") == 0


async def test_a_waiting_worker_gets_the_job_of_another_process(url: str, queue: Queue) -> None:
    waiting = asyncio.create_task(queue.dequeue(timeout=DEADLINE_SECONDS))
    async with another_process("enqueue", url) as process:
        first = await said(process)
        job = await waiting
    assert job is not None
    assert (job.function, bool(first)) == ("paint", True)


async def test_no_job_whose_enqueueing_returned_is_lost_when_its_process_is_killed(url: str, tmp_path: Path) -> None:
    accepted: list[str] = []
    for number in range(20):
        async with another_process("enqueue", url) as process:
            accepted += [await said(process) for _ in range(number * 7 % 40)]
            await kill(process)
            accepted += await all_said(process)
    with sqlite3.connect(tmp_path / "queue.db") as database:
        kept = {key for (key,) in database.execute("SELECT key FROM jobs WHERE status = 'queued'")}
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    assert accepted
    assert set(accepted) <= kept
