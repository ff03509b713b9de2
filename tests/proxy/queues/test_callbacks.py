"""Delivery and retries of callbacks on every queue."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from loadtest.servers.receiver import receiving
from loadtest.servers.service import SECRET
from proxy.derivatives.recipe import Recipe
from proxy.jobs.listing import ListJobs
from proxy.jobs.request import JobRequest
from proxy.jobs.service import JobService
from proxy.keys.addresses import PublicAddresses
from proxy.keys.layouts import SiteLayout
from proxy.queues.factory import open_queue
from proxy.queues.worker import running_worker
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.client import WebhookClient
from proxy.webhooks.delivery import CallbackState
from proxy.webhooks.dispatcher import Dispatcher
from proxy.webhooks.outbox import Callback, Outbox
from proxy.webhooks.signature import Signer
from tests.proxy.conftest import ORIGINAL, SIZES
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from loadtest.servers.receiver import Receiver
    from proxy.queues.base import JobQueue
    from proxy.webhooks.allowlist import AllowList
    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio

BODY = '{"type":"job.done","timestamp":"2026-11-23T00:00:00Z","data":{"id":"1"}}'


@pytest.fixture
async def jobs_queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    """Yield a separate queue for jobs, so that the queue under test holds only callbacks."""
    queue = open_queue(f"sqlite:////{tmp_path}/jobs.db", name="jobs")
    await queue.connect()
    yield queue
    await queue.disconnect()


def open_jobs(jobs: JobQueue, outbox: Outbox) -> JobService:
    recipe = Recipe(sizes=SIZES, layout=SiteLayout(sizes=tuple(size.name for size in SIZES)), cache_control="")
    return JobService(
        queue=jobs, outbox=outbox, recipe=recipe, addresses=PublicAddresses("/files"), queue_size=64, keep_seconds=600
    )


async def deliver(owed: JobQueue, jobs_queue: JobQueue, receiver: Receiver, *, times: int) -> None:
    """Run a dispatcher until the receiver has accepted `times` callbacks and the queue is empty."""
    allow_list = parse_allow_list([receiver.listed])
    outbox = Outbox(queue=owed, allow_list=allow_list, keep_seconds=600)
    webhook_client = WebhookClient(allow_list, Signer([SECRET]))
    await webhook_client.start()
    worker = Dispatcher(
        queue=owed,
        webhook_client=webhook_client,
        complete_job=open_jobs(jobs_queue, outbox).complete,
        grace_seconds=30,
        waits_seconds=(0.01,) * 5,
    )

    async def all_told() -> bool:
        return len(receiver.taken()) >= times and await owed.count("incomplete") == 0

    async with running_worker(worker):
        await until(all_told)
    await webhook_client.close()


async def test_a_callback_is_owed_once_and_tried_until_it_is_taken(another: Another, jobs_queue: JobQueue) -> None:
    with receiving(statuses=(500, 503)) as receiver:
        first, second = await another(), await another()
        for queue in (first, second, first):
            owing = Outbox(queue=queue, allow_list=parse_allow_list([receiver.listed]), keep_seconds=600)
            await owing.enqueue_callback(Callback(id="1-2", url=receiver.url, body=BODY))
        await deliver(second, jobs_queue, receiver, times=1)
        assert [got.status for got in receiver.received] == [500, 503, 204]
        kept = await first.job("callback:1-2")
        assert kept is not None
        assert kept.result == "delivered"


async def test_a_promise_is_kept_when_its_job_has_ended_and_then_forgotten(
    another: Another, jobs_queue: JobQueue
) -> None:
    with receiving() as receiver:
        owed = await another()
        outbox = Outbox(
            queue=owed, allow_list=parse_allow_list([receiver.listed]), keep_seconds=600, watch_seconds=0.05
        )
        job = await open_jobs(jobs_queue, outbox).submit(JobRequest(key=ORIGINAL, callback_url=receiver.url))
        queued = await jobs_queue.job(job.id)
        assert queued is not None
        assert await owed.count("incomplete") == 1
        await jobs_queue.abort(queued, "by an operator")
        await deliver(owed, jobs_queue, receiver, times=1)
        assert receiver.jobs() == {job.id}
        assert [kept.function async for kept in owed.iter_jobs()] == ["deliver"]


@pytest.mark.parametrize(
    ("statuses", "expected", "detail"),
    [
        ((), "delivered", "The receiver responded with 204."),
        ((500,), "retrying", "The receiver responded with 500."),
        ((410,), "failed", "The receiver responded with 410, so no more attempts are made."),
    ],
)
async def test_a_job_has_the_host_of_its_callback_and_what_its_last_attempt_came_to(
    another: Another, jobs_queue: JobQueue, statuses: tuple[int, ...], expected: str, detail: str
) -> None:
    with receiving(statuses=statuses) as receiver:
        owed, allow_list = await another(), parse_allow_list([receiver.listed])
        outbox = Outbox(queue=owed, allow_list=allow_list, keep_seconds=600)
        jobs = open_jobs(jobs_queue, outbox)
        posted = await jobs.submit(JobRequest(key=ORIGINAL, callback_url=f"{receiver.url}/secret?token=1"))
        assert posted.callback == CallbackState(host=f"127.0.0.1:{receiver.server_port}", status="waiting")
        queued = await jobs_queue.job(posted.id)
        assert queued is not None
        await jobs_queue.abort(queued, "by an operator")
        assert await jobs.complete(posted.id)
        async with dispatching(owed, jobs, allow_list):
            state = await until(lambda: tried(jobs, posted.id))
    assert (state.host, state.status, state.attempts, state.detail) == (posted.callback.host, expected, 1, detail)
    assert state.at is not None
    assert abs(time.time() - state.at.timestamp()) < 60
    (listed,) = (await jobs.page(ListJobs(limit=5))).jobs
    assert listed.callback == state


async def test_a_callback_whose_host_is_no_longer_listed_has_failed(another: Another, jobs_queue: JobQueue) -> None:
    owed = await another()
    listing, other = (
        open_jobs(jobs_queue, Outbox(queue=owed, allow_list=parse_allow_list(hosts), keep_seconds=600))
        for hosts in (["hooks.example.org"], ["www.example.org"])
    )
    posted = await listing.submit(JobRequest(key=ORIGINAL, callback_url="https://hooks.example.org/a"))
    queued = await jobs_queue.job(posted.id)
    assert queued is not None
    await jobs_queue.abort(queued, "by an operator")
    state = (await other.get(posted.id)).callback
    assert state is not None
    assert (state.host, state.status) == ("hooks.example.org", "failed")
    assert "CALLBACK_HOSTS" in state.detail


async def tried(jobs: JobService, job_id: str) -> CallbackState | None:
    state = (await jobs.get(job_id)).callback
    return state if state and state.attempts else None


@asynccontextmanager
async def dispatching(owed: JobQueue, jobs: JobService, allow_list: AllowList) -> AsyncIterator[None]:
    """Run a dispatcher that retries after a minute for the duration of the block."""
    webhook_client = WebhookClient(allow_list, Signer([SECRET]))
    await webhook_client.start()
    worker = Dispatcher(
        queue=owed,
        webhook_client=webhook_client,
        complete_job=jobs.complete,
        grace_seconds=30,
        waits_seconds=(60,),
    )
    async with running_worker(worker):
        yield
    await webhook_client.close()
