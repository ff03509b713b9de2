"""Cancelling, replaying and selecting jobs, and pausing, on every queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest
from saq import Status

from proxy.errors import Busy, JobEnded, UnknownJob
from proxy.jobs.control import JobControl
from proxy.jobs.job import CANCEL_REQUEST
from proxy.jobs.listing import JobFilter, ListJobs
from proxy.queues.worker import QueueWorker, RetryLater, running_worker
from tests.proxy.queues.asking import eventually, stored, take
from tests.proxy.queues.test_jobs import FAULT, jobs_of, order

if TYPE_CHECKING:
    from saq.types import Context

    from proxy.jobs.service import JobService
    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio

OTHER_FAULT = {"error": {"code": "store-refused", "detail": "The store rejects it."}}


@pytest.fixture
def jobs(queue: JobQueue) -> JobService:
    return jobs_of(queue)


@pytest.fixture
def control(queue: JobQueue, jobs: JobService) -> JobControl:
    return JobControl(queue=queue, jobs=jobs)


async def fail(queue: JobQueue, jobs: JobService, number: int, fault: object = FAULT) -> str:
    """Post a job and end it with an error; return its id."""
    await jobs.submit(order(number))
    job = await take(queue)
    await job.finish(Status.COMPLETE, result=fault)
    await asyncio.sleep(0.002)  # SAQ's timestamps are in milliseconds
    return job.key


async def test_a_waiting_job_that_is_cancelled_ends_at_once_and_is_never_taken(
    queue: JobQueue, jobs: JobService, control: JobControl
) -> None:
    posted = await jobs.submit(order(1))
    cancelled = await control.cancel(posted.id)
    assert cancelled.error is not None
    assert (cancelled.status, cancelled.error.code, cancelled.finished_at is None) == ("error", "cancelled", False)
    assert await queue.dequeue(timeout=0.1) is None
    assert (await jobs.submit(order(1))).id != posted.id


async def test_a_job_that_waits_for_a_retry_is_cancelled_too(
    queue: JobQueue, jobs: JobService, control: JobControl
) -> None:
    posted = await jobs.submit(order(1))
    job = await take(queue)
    job.retry_delay, job.retry_backoff = 60, False
    await job.retry("the store is down")
    assert (await control.cancel(posted.id)).status == "error"
    assert (await jobs.waiting()).jobs == 0


async def test_a_cancelled_job_can_be_run_again(queue: JobQueue, jobs: JobService, control: JobControl) -> None:
    posted = await jobs.submit(order(1))
    await control.cancel(posted.id)
    assert (await jobs.replay(posted.id)).status == "queued"
    assert (await take(queue)).key == posted.id


async def test_a_job_that_has_ended_cannot_be_cancelled_any_more(
    queue: JobQueue, jobs: JobService, control: JobControl
) -> None:
    failed = await fail(queue, jobs, 1)
    with pytest.raises(JobEnded):
        await control.cancel(failed)
    with pytest.raises(UnknownJob):
        await control.cancel("0" * 32)


async def test_cancelling_twice_is_cancelling_once(jobs: JobService, control: JobControl) -> None:
    posted = await jobs.submit(order(1))
    assert await control.cancel(posted.id) == await control.cancel(posted.id)


async def test_a_message_cancels_a_job_once(jobs: JobService, control: JobControl) -> None:
    posted = await jobs.submit(order(1))
    await control.cancel(posted.id, message_id="msg_1")
    await jobs.replay(posted.id)
    assert (await control.cancel(posted.id, message_id="msg_1")).status == "queued"
    assert (await control.cancel(posted.id, message_id="msg_2")).status == "error"


async def test_a_running_job_that_is_cancelled_ends_in_its_worker(another: Another) -> None:
    here, there = await another(), await another()
    jobs, started, cancelled = jobs_of(here), anyio.Event(), anyio.Event()

    async def hang(_context: Context, **_request: object) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    posted = await jobs.submit(order(1))
    async with running_worker(QueueWorker(there, {"make_derivatives": hang}, concurrency=1, grace_seconds=1)):
        await started.wait()
        job = await JobControl(queue=here, jobs=jobs, cancel_seconds=15).cancel(posted.id)
    assert cancelled.is_set()
    assert job.error is not None
    assert (job.status, job.error.code) == ("error", "cancelled")


async def test_a_job_that_its_worker_puts_off_meanwhile_is_cancelled_all_the_same(another: Another) -> None:
    here, there = await another(), await another()
    jobs, started, go_on = jobs_of(here), anyio.Event(), anyio.Event()

    async def put_off(context: Context, **_request: object) -> None:
        started.set()
        with anyio.CancelScope(shield=True):
            await go_on.wait()
        context["job"].retry_delay = 60
        raise RetryLater("the store is down")

    posted = await jobs.submit(order(1))
    async with running_worker(QueueWorker(there, {"make_derivatives": put_off}, concurrency=1, grace_seconds=1)):
        await started.wait()
        cancelling = asyncio.create_task(JobControl(queue=here, jobs=jobs, cancel_seconds=15).cancel(posted.id))
        await eventually(lambda: is_marked(here, posted.id))
        go_on.set()
        job = await cancelling
    assert job.error is not None
    assert job.error.code == "cancelled"


async def is_marked(queue: JobQueue, job_id: str) -> bool:
    job = await stored(queue, job_id)
    return (job.status, job.error) == (Status.ABORTING, CANCEL_REQUEST)


async def test_a_job_that_does_not_end_in_time_is_still_processing(queue: JobQueue, jobs: JobService) -> None:
    posted = await jobs.submit(order(1))
    job = await take(queue)
    told = await JobControl(queue=queue, jobs=jobs, cancel_seconds=0).cancel(posted.id)
    assert (told.status, told.error) == ("processing", None)
    await job.finish(Status.COMPLETE, result={})
    with pytest.raises(JobEnded):
        await JobControl(queue=queue, jobs=jobs, cancel_seconds=0).cancel(posted.id)


async def test_jobs_are_selected_by_key_code_and_age(queue: JobQueue, jobs: JobService) -> None:
    bad, refused = await fail(queue, jobs, 1), await fail(queue, jobs, 2, OTHER_FAULT)
    waiting = (await jobs.submit(order(3))).id

    async def selected(selection: JobFilter) -> list[str]:
        return [job.id for job in (await jobs.page(ListJobs(selection=selection, limit=10))).jobs]

    assert await selected(JobFilter(key=order(1).key)) == [bad]
    assert await selected(JobFilter(code="store-refused")) == [refused]
    assert await selected(JobFilter(status="error", except_code="store-refused")) == [bad]
    assert await selected(JobFilter(key=order(1).key, code="store-refused")) == []
    assert await selected(JobFilter(older_than_seconds=0)) == [waiting, refused, bad]
    assert await selected(JobFilter(newer_than_seconds=60)) == [waiting, refused, bad]
    assert await selected(JobFilter(older_than_seconds=60)) == []


async def test_a_job_that_waits_for_a_retry_is_selected_by_the_code_of_its_last_error(
    queue: JobQueue, jobs: JobService
) -> None:
    posted = await jobs.submit(order(1))
    job = await take(queue)
    job.result, job.retry_delay, job.retry_backoff = {**OTHER_FAULT, "put_off_until": 2e9}, 60, False
    await job.retry("the store is down")
    page = await jobs.page(ListJobs(selection=JobFilter(code="store-refused"), limit=10))
    assert [one.id for one in page.jobs] == [posted.id]


async def test_many_jobs_are_run_again_page_by_page_and_each_once(
    queue: JobQueue, jobs: JobService, control: JobControl
) -> None:
    failed = [await fail(queue, jobs, number) for number in range(5)]
    cancelled = (await jobs.submit(order(9))).id
    await control.cancel(cancelled)
    cursor, replayed, pages = None, [], 0
    while True:
        page = await control.replay(ListJobs(limit=2, cursor=cursor))
        replayed += [job.id for job in page.jobs]
        pages += 1
        for _ in page.jobs:  # they fail again at once, and must not come again
            await (await take(queue)).finish(Status.COMPLETE, result=FAULT)
        if (cursor := page.cursor) is None:
            break
    assert (replayed, pages) == (failed[::-1], 3)
    again = await control.replay(ListJobs(selection=JobFilter(code="cancelled"), limit=2))
    assert [job.id for job in again.jobs] == [cancelled]


async def test_jobs_that_are_done_are_run_again_if_asked_for(
    queue: JobQueue, jobs: JobService, control: JobControl
) -> None:
    await fail(queue, jobs, 1)
    done = await fail(queue, jobs, 2, fault={})
    page = await control.replay(ListJobs(selection=JobFilter(status="done"), limit=9))
    assert [job.id for job in page.jobs] == [done]


async def test_a_message_runs_each_of_many_jobs_again_once(
    queue: JobQueue, jobs: JobService, control: JobControl
) -> None:
    await fail(queue, jobs, 1)
    assert len((await control.replay(ListJobs(limit=2), message_id="msg_1")).jobs) == 1
    await (await take(queue)).finish(Status.COMPLETE, result=FAULT)
    assert (await control.replay(ListJobs(limit=2), message_id="msg_1")).jobs == ()


async def test_a_queue_that_becomes_full_is_where_the_next_page_begins(another: Another) -> None:
    queue = await another()
    jobs = jobs_of(queue, queue_size=2)
    control = JobControl(queue=queue, jobs=jobs)
    failed = [await fail(queue, jobs, number) for number in range(3)]
    page = await control.replay(ListJobs(limit=10))
    assert [job.id for job in page.jobs] == failed[:0:-1]
    with pytest.raises(Busy):
        await control.replay(ListJobs(limit=10, cursor=page.cursor))
    for _ in page.jobs:
        await (await take(queue)).finish(Status.COMPLETE, result={})
    rest = await control.replay(ListJobs(limit=10, cursor=page.cursor))
    assert ([job.id for job in rest.jobs], rest.cursor) == (failed[:1], None)


async def test_a_pause_is_seen_by_every_machine_and_a_message_pauses_once(another: Another) -> None:
    queues = [await another() for _ in range(2)]
    here, there = (JobControl(queue=queue, jobs=jobs_of(queue)) for queue in queues)
    await here.pause(message_id="msg_1")
    assert await there.paused_since() is not None
    await there.resume(message_id="msg_2")
    await here.pause(message_id="msg_1")
    assert await there.paused_since() is None
