"""The job worker and its heartbeats, on every queue."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from saq import Status

from proxy.derivatives.recipe import Recipe
from proxy.jobs.service import FUNCTION, JobService
from proxy.jobs.worker import JobWorker
from proxy.keys.addresses import PublicAddresses
from proxy.keys.layouts import SiteLayout
from proxy.queues import worker
from proxy.queues.worker import running_worker
from proxy.stores.base import Attributes
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.outbox import Outbox
from tests.proxy.conftest import ORIGINAL, SIZES, CountingStore, Workshop, open_workshop
from tests.proxy.queues.asking import DEADLINE_SECONDS, stored
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.queues.base import JobQueue
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob
    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio

HEARTBEAT_SECONDS = 1
"""SAQ supports whole seconds only."""


class SlowStore(CountingStore):
    """A store whose fetches wait until the test allows them."""

    def __init__(self) -> None:
        super().__init__(Counter())
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        self.asked.set()
        await self.let.wait()
        return await super().fetch(key, path, max_bytes=max_bytes)


@pytest.fixture
async def store(photo: Path) -> SlowStore:
    slow = SlowStore()
    await slow.put(ORIGINAL, photo, Attributes(content_type="image/jpeg"))
    return slow


@pytest.fixture
def slow_workshop(render_pool: RenderPool, photo: Path, policy: GenerationPolicy, store: SlowStore) -> Workshop:
    return open_workshop(render_pool, photo=photo, policy=policy, store=store)


@asynccontextmanager
async def working(queue: JobQueue, workshop: Workshop) -> AsyncIterator[JobWorker]:
    outbox = Outbox(queue=queue, allow_list=parse_allow_list([]), keep_seconds=600)
    recipe = Recipe(sizes=SIZES, layout=SiteLayout(sizes=tuple(size.name for size in SIZES)), cache_control="")
    jobs = JobService(
        queue=queue, outbox=outbox, recipe=recipe, addresses=PublicAddresses("/files"), queue_size=64, keep_seconds=600
    )
    worker = JobWorker(
        queue=queue,
        derivatives=workshop.derivatives,
        complete_job=jobs.complete,
        concurrency=1,
        grace_seconds=DEADLINE_SECONDS,
    )
    async with running_worker(worker):
        yield worker


async def order(queue: JobQueue) -> None:
    await queue.enqueue(
        FUNCTION, key="a", kwargs={"key": ORIGINAL}, heartbeat=HEARTBEAT_SECONDS, timeout=600, retries=3, ttl=600
    )


async def ended(queue: JobQueue) -> bool:
    return (await stored(queue, "a")).status == Status.COMPLETE


@pytest.mark.slow
async def test_a_slow_job_of_a_worker_that_lives_is_not_taken_over(
    another: Another, slow_workshop: Workshop, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "HEARTBEAT_INTERVAL_SECONDS", HEARTBEAT_SECONDS / 10)
    queue, sweeper = await another(), await another()
    await order(queue)
    async with working(queue, slow_workshop):
        await store.asked.wait()
        began = (await stored(queue, "a")).touched

        async def is_old_enough() -> bool:
            assert await sweeper.sweep(abort=0.1) == []
            return (await stored(queue, "a")).touched - began > 3000 * HEARTBEAT_SECONDS

        await until(is_old_enough)
        store.let.set()
        await until(lambda: ended(queue))
    assert (await stored(queue, "a")).attempts == 1


async def test_a_worker_lets_go_of_a_job_that_was_taken_over(
    another: Another, slow_workshop: Workshop, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "HEARTBEAT_INTERVAL_SECONDS", 3600)  # as if its machine were suspended
    queue, sweeper = await another(), await another()
    await order(queue)
    async with working(queue, slow_workshop) as sleeper:
        await store.asked.wait()
        sleeper.event.set()  # it takes no more jobs, but still runs this one

        async def is_taken_over() -> bool:
            return bool(await sweeper.sweep(abort=0.1))

        await until(is_taken_over)
        await sleeper.send_heartbeats()

        async def has_let_go() -> bool:
            await asyncio.sleep(0)
            return not sleeper.job_task_contexts

        await until(has_let_go)
    assert (await stored(queue, "a")).status == Status.QUEUED
    store.let.set()
    async with working(sweeper, slow_workshop):
        await until(lambda: ended(queue))
    assert (await stored(queue, "a")).attempts == 2
