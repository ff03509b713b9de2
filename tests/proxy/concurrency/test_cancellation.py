"""The end of tasks that swallow a cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from proxy.app.lifecycle import _background
from proxy.concurrency.cancellation import cancel

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


async def repeat(swallows: int, started: asyncio.Event) -> None:
    """Wait for ever, and swallow this many cancellations, as a call of a library may that ends at that moment."""
    for _ in range(swallows):
        started.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    started.set()
    await asyncio.Event().wait()


@pytest.mark.parametrize("swallows", [0, 1, 3])
async def test_tasks_end_however_many_cancellations_they_swallow(swallows: int) -> None:
    started = [asyncio.Event() for _ in range(3)]
    tasks = [asyncio.create_task(repeat(swallows, one)) for one in started]
    for one in started:
        await one.wait()
    await cancel(tasks, again_seconds=0.01)
    assert all(task.cancelled() for task in tasks)


async def test_tasks_that_have_ended_are_left_alone() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await cancel([task])
    assert not task.cancelled()


async def test_a_background_task_of_the_service_ends_although_it_swallows_a_cancellation() -> None:
    started = asyncio.Event()
    async with _background(repeat(1, started)):
        await started.wait()


async def test_what_a_background_task_raised_is_raised_at_its_end() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with _background(fail()):
            await asyncio.sleep(0)
