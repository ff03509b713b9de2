"""The newest jobs: each queue yields at least those that are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from saq.job import Job, Status

from proxy.queues.factory import open_queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.queues.base import JobQueue

pytestmark = pytest.mark.anyio

STATUSES = list(Status)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    one = open_queue(f"sqlite:////{tmp_path}/queue.db", name="newest")
    await one.connect()
    yield one
    await one.disconnect()


async def enqueued(queue: JobQueue, *names: str) -> list[Job]:
    jobs = []
    for number, name in enumerate(names):
        job = await queue.enqueue(Job("work", key=f"{number:032x}", kwargs={"key": name}))
        assert job
        jobs.append(job)
    return jobs


async def test_the_newest_come_first_and_a_page_continues_where_the_last_one_ended(queue: JobQueue) -> None:
    jobs = await enqueued(queue, *(f"k{number}" for number in range(120)))
    found = [job.key async for job in queue.iter_newest(STATUSES)]
    assert found == [job.key for job in reversed(jobs)]
    place = (jobs[60].queued, jobs[60].key)
    assert [job.key async for job in queue.iter_newest(STATUSES, before=place)] == found[60:]


async def test_jobs_that_failed_are_found_among_those_that_are_complete(queue: JobQueue) -> None:
    good, bad, waits = await enqueued(queue, "good", "bad", "waits")
    await queue.finish(good, Status.COMPLETE, result={"derivatives": []})
    await queue.finish(bad, Status.COMPLETE, result={"error": {"code": "corrupt", "detail": "It is broken."}})
    ended = [Status.COMPLETE, Status.FAILED, Status.ABORTED]
    assert [job.key async for job in queue.iter_newest(ended, has_failed=True)] == [bad.key]
    assert [job.key async for job in queue.iter_newest([Status.QUEUED])] == [waits.key]


@pytest.mark.parametrize("text", ["50%_a", 'quo"te', "Käfer", "back\\slash", "GALL/50"])
async def test_a_text_is_found_in_any_key(queue: JobQueue, text: str) -> None:
    await enqueued(queue, 'gall/50%_a"quo"te_Käfer_back\\slash', "gall/other")
    found = [str((job.kwargs or {})["key"]) async for job in queue.iter_newest(STATUSES, text=text)]
    assert found[-1].startswith("gall/50")
