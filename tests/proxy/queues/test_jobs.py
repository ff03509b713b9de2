"""The job service on every queue: differences between SAQ's queues must not show."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from saq import Status

from pipeline.size import Size
from proxy.derivatives.recipe import Recipe
from proxy.errors import BadCursor
from proxy.jobs import live_jobs
from proxy.jobs.listing import JobFilter, JobListing, ListJobs
from proxy.jobs.live_jobs import LiveIndex
from proxy.jobs.request import JobRequest
from proxy.jobs.service import JobService
from proxy.keys.addresses import PublicAddresses
from proxy.keys.layouts import SiteLayout
from proxy.webhooks import allowlist
from proxy.webhooks.outbox import Outbox
from tests.proxy.queues.asking import eventually, stored, take

if TYPE_CHECKING:
    from proxy.jobs.job import Status as JobStatus
    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio

SIZES = (Size(name="small", width=300), Size(name="large", width=1200))
RECIPE = Recipe(sizes=SIZES, layout=SiteLayout(sizes=("small", "large")), cache_control="")
FAULT = {"error": {"code": "not-an-image", "detail": "It is no picture."}}


def order(number: int) -> JobRequest:
    return JobRequest(key=f"gall/{number}/{number}_1_original.jpg")


def jobs_of(queue: JobQueue, *, queue_size: int = 1000) -> JobService:
    outbox = Outbox(queue=queue, allow_list=allowlist.parse_allow_list([]), keep_seconds=600)
    return JobService(
        queue=queue,
        outbox=outbox,
        recipe=RECIPE,
        addresses=PublicAddresses("/files"),
        queue_size=queue_size,
        keep_seconds=600,
    )


@pytest.fixture
def jobs(queue: JobQueue) -> JobService:
    return jobs_of(queue)


async def listed(jobs: JobService, *, status: JobStatus | None = None, limit: int = 3) -> list[list[str]]:
    """Return the job ids on each page."""
    pages: list[list[str]] = []
    cursor = None
    while True:
        page = await jobs.page(ListJobs(selection=JobFilter(status=status), limit=limit, cursor=cursor))
        assert page.is_complete
        pages.append([job.id for job in page.jobs])
        if (cursor := page.cursor) is None:
            return pages


async def test_jobs_are_listed_page_by_page_newest_first(jobs: JobService) -> None:
    posted = []
    for number in range(8):
        posted.append((await jobs.submit(order(number))).id)
        await asyncio.sleep(0.002)  # SAQ's timestamps are in milliseconds
    newest = posted[::-1]
    assert await listed(jobs) == [newest[:3], newest[3:6], newest[6:]]
    assert await listed(jobs, limit=8) == [newest]


async def test_jobs_are_listed_by_how_far_they_are(queue: JobQueue, jobs: JobService) -> None:
    ids: dict[str, str] = {}
    for number, end in enumerate(["done", "error", "error"]):
        await jobs.submit(order(number))
        job = await take(queue)
        ids[f"{end}{number}"] = job.key
        if number == 2:
            await job.finish(Status.FAILED, error="it broke")
        else:
            await job.finish(Status.COMPLETE, result=FAULT if end == "error" else {})
    await jobs.submit(order(3))
    ids["processing"] = (await take(queue)).key
    ids["queued"] = (await jobs.submit(order(4))).id
    found = {status: await listed(jobs, status=status) for status in ("queued", "processing", "done")}
    assert found == {"queued": [[ids["queued"]]], "processing": [[ids["processing"]]], "done": [[ids["done0"]]]}
    assert {*(await listed(jobs, status="error"))[0]} == {ids["error1"], ids["error2"]}


async def test_a_job_that_comes_while_pages_are_turned_moves_none_of_the_rest(jobs: JobService) -> None:
    posted = {(await jobs.submit(order(number))).id for number in range(6)}
    first = await jobs.page(ListJobs(limit=3))
    await asyncio.sleep(0.002)
    await jobs.submit(order(6))
    second = await jobs.page(ListJobs(limit=3, cursor=first.cursor))
    assert {job.id for job in (*first.jobs, *second.jobs)} == posted


async def test_no_more_jobs_are_looked_at_than_may(queue: JobQueue, jobs: JobService) -> None:
    for number in range(5):
        await jobs.submit(order(number))
    page = await JobListing(queue, most_walked=3).page(ListJobs(limit=10))
    assert (len(page.jobs), page.is_complete) == (3, False)


@pytest.mark.parametrize("cursor", ["", "x", "1-", "-a", "1-\N{SUPERSCRIPT TWO}", "9" * 30 + "-" + "a" * 32])
async def test_a_made_up_cursor_is_refused(jobs: JobService, cursor: str) -> None:
    with pytest.raises(BadCursor):
        await jobs.page(ListJobs(limit=10, cursor=cursor))


async def test_a_job_that_has_just_ended_can_be_run_again_at_once(queue: JobQueue, jobs: JobService) -> None:
    posted = await jobs.submit(order(1))
    await (await take(queue)).finish(Status.COMPLETE, result=FAULT)
    assert (await jobs.get(posted.id)).status == "error"
    again = await jobs.replay(posted.id)
    assert (again.status, again.attempts, again.error) == ("queued", 0, None)
    assert (await take(queue)).key == posted.id


async def test_a_stuck_job_that_is_taken_back_was_never_told_to_have_ended(queue: JobQueue, jobs: JobService) -> None:
    posted = await jobs.submit(order(1))
    await (await take(queue)).abort("swept")
    assert (await stored(queue, posted.id)).status == Status.ABORTING
    told = await jobs.get(posted.id)
    assert (told.status, told.error) == ("processing", None)
    assert (await jobs.submit(order(1))).id == posted.id


async def test_a_job_that_another_process_enqueued_is_known_within_a_second(another: Another) -> None:
    here, there = LiveIndex(await another()), jobs_of(await another())
    await here.refresh()
    posted = await there.submit(order(1))

    async def is_known() -> bool:
        await here.refresh()
        return here.covering(order(1)) == [posted.id]

    await eventually(is_known)


async def test_an_original_far_behind_in_a_long_line_has_its_job_still(
    jobs: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_jobs, "MOST_READ", 3)
    monkeypatch.setattr(live_jobs, "REFRESH_SECONDS", 0)
    monkeypatch.setattr(live_jobs, "MAX_REFRESH_SHARE", 1e9)
    posted = [(await jobs.submit(order(number))).id for number in range(6)]
    for _ in range(3):  # new jobs survive one refresh in any case
        await jobs.waiting()
    assert [(await jobs.submit(order(number))).id for number in range(6)] == posted


async def test_no_more_wait_than_may_on_two_machines(another: Another) -> None:
    here, there = jobs_of(await another(), queue_size=5), jobs_of(await another(), queue_size=5)
    for number in range(5):
        await here.submit(order(number))
    refused = await asyncio.gather(*(there.submit(order(10 + number)) for number in range(20)), return_exceptions=True)
    assert [type(one).__name__ for one in refused] == ["Busy"] * 20
    assert (await here.waiting())[0] == 5
