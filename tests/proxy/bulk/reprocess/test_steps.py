"""The steps for one original: inspecting it, rendering it here, queueing a job for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import anyio
import pytest
import structlog

from proxy.bulk.reprocess.enqueue import JOBS_PER_WORKER, EnqueueStep, ReadPause
from proxy.bulk.reprocess.inspect import Inspector
from proxy.bulk.reprocess.render import RenderStep
from proxy.bulk.reprocess.throttle import Throttle, ThrottledStep
from proxy.bulk.stop import Stop, Stopped
from proxy.derivatives.recipe import Recipe
from proxy.errors import NoRoom, NotFound, StoreUnavailable
from proxy.jobs.control import JobControl
from proxy.jobs.request import JobRequest
from proxy.jobs.service import JobService
from proxy.jobs.worker import JobWorker
from proxy.keys.addresses import PublicAddresses
from proxy.keys.layouts import SiteLayout
from proxy.queues.factory import open_queue
from proxy.queues.worker import running_worker
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.outbox import Outbox
from tests.proxy.conftest import ORIGINAL, SIZES
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.size import Size
    from proxy.bulk.events import OriginalDone
    from proxy.derivatives.results import Remake
    from proxy.jobs.job import Job
    from proxy.queues.base import JobQueue
    from tests.proxy.conftest import Workshop

pytestmark = pytest.mark.anyio

NAMES = tuple(size.name for size in SIZES)
QUEUE_SIZE = 8


def inspector(workshop: Workshop, remake: Remake = "stale", *, sizes: tuple[Size, ...] = SIZES) -> Inspector:
    recipe = replace(workshop.derivatives.recipe, sizes=sizes)
    return Inspector(
        store=workshop.store, recipe=recipe, sizes=NAMES, remake=remake, libvips=workshop.render_pool.libvips
    )


def maker(workshop: Workshop, remake: Remake = "stale") -> RenderStep:
    return RenderStep(derivatives=workshop.derivatives, sizes=(), remake=remake, stop=Stop())


async def test_every_reason_for_making_a_size_is_told(workshop: Workshop) -> None:
    await workshop.upload()
    assert (await inspector(workshop).inspect(ORIGINAL)).reasons == dict.fromkeys(NAMES, "missing")
    assert workshop.calls["put"] == 0
    await maker(workshop).run(ORIGINAL)
    assert (await inspector(workshop).inspect(ORIGINAL)).result == "fresh"
    assert (await inspector(workshop, "all").inspect(ORIGINAL)).reasons == dict.fromkeys(NAMES, "requested by --all")
    await workshop.store.delete("gall/58/58_1_small.jpg")
    other = (*SIZES[:1], replace(SIZES[1], quality=50), *SIZES[2:])
    assert (await inspector(workshop, sizes=other).inspect(ORIGINAL)).reasons == {
        "small": "missing",
        "large": "stale profile",
    }
    assert (await inspector(workshop, "missing", sizes=other).inspect(ORIGINAL)).reasons == {"small": "missing"}
    await workshop.upload(path=_other_photo(workshop))
    assert (await inspector(workshop).inspect(ORIGINAL)).reasons["xlarge"] == "replaced original"


def _other_photo(workshop: Workshop) -> Path:
    path = workshop.photo.with_name("other.jpg")
    path.write_bytes(workshop.photo.read_bytes() + b"\0")
    return path


async def test_an_original_that_is_not_there_cannot_be_looked_at(workshop: Workshop) -> None:
    with pytest.raises(NotFound):
        await inspector(workshop).inspect(ORIGINAL)


async def test_what_is_looked_at_as_due_is_what_is_made(workshop: Workshop) -> None:
    await workshop.upload()
    assert (await maker(workshop).run(ORIGINAL)).result == "rendered"
    assert workshop.calls["put"] == len(NAMES)
    assert (await maker(workshop).run(ORIGINAL)).result == "fresh"
    assert (await maker(workshop, "all").run(ORIGINAL)).result == "rendered"
    assert workshop.calls["put"] == 2 * len(NAMES)


async def test_an_original_that_cannot_be_rendered_says_why(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"no picture")
    await workshop.upload(path=tmp_path / "text")
    made = await maker(workshop).run(ORIGINAL)
    assert (made.result, made.code) == ("failed", "not-an-image")
    assert "not an image" in made.detail


async def test_a_store_that_is_away_is_no_word_on_the_original(workshop: Workshop) -> None:
    async def away() -> None:
        raise StoreUnavailable("away")

    await workshop.upload()
    workshop.store.after_head = away
    with pytest.raises(StoreUnavailable):
        await maker(workshop).run(ORIGINAL)


async def test_a_size_that_the_store_refuses_is_the_originals_failure(workshop: Workshop) -> None:
    await workshop.upload()
    workshop.store.refused = "gall/58/58_1_large.jpg"
    assert (await maker(workshop).run(ORIGINAL)).code == "store-refused"


async def test_what_is_fresh_waits_for_no_rate(workshop: Workshop) -> None:
    keys = [f"gall/{number}_original.jpg" for number in range(3)]
    for key in keys:
        await workshop.upload(key)
        await maker(workshop).run(key)
    stop = Stop()
    throttled = ThrottledStep(
        inspector=inspector(workshop), throttle=Throttle(3600), step=maker(workshop).run, stop=stop
    )
    assert [(await throttled.run(key)).result for key in keys] == ["fresh"] * 3
    for key in ("gall/4_original.jpg", "gall/5_original.jpg"):
        await workshop.upload(key)
    assert (await throttled.run("gall/4_original.jpg")).result == "rendered"
    waiting = asyncio.create_task(throttled.run("gall/5_original.jpg"))
    stop.request("enough")
    with pytest.raises(Stopped):
        await waiting


async def test_a_disk_that_is_full_is_no_word_on_the_original(workshop: Workshop) -> None:
    await workshop.upload()
    workshop.store.fault = NoRoom("full")
    with pytest.raises(NoRoom):
        await maker(workshop).run(ORIGINAL)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    one = open_queue(f"sqlite:////{tmp_path}/queue.db", name="derivatives")
    await one.connect()
    yield one
    await one.disconnect()


@pytest.fixture
def jobs(queue: JobQueue) -> WatchedJobs:
    WatchedJobs.waited.clear()
    recipe = Recipe(sizes=SIZES, layout=SiteLayout(sizes=NAMES), cache_control="")
    outbox = Outbox(queue=queue, allow_list=parse_allow_list([]), keep_seconds=600)
    return WatchedJobs(
        queue=queue,
        outbox=outbox,
        recipe=recipe,
        addresses=PublicAddresses("/files"),
        queue_size=QUEUE_SIZE,
        keep_seconds=600,
    )


def worker(workshop: Workshop, queue: JobQueue, jobs: JobService) -> JobWorker:
    return JobWorker(
        queue=queue, derivatives=workshop.derivatives, complete_job=jobs.complete, concurrency=2, grace_seconds=5
    )


async def no_pause() -> None:
    return


def orderer(
    workshop: Workshop, jobs: JobService, stop: Stop, *, remake: Remake = "stale", read_pause: ReadPause = no_pause
) -> EnqueueStep:
    return EnqueueStep(
        jobs=jobs,
        inspector=inspector(workshop, remake),
        queue_size=QUEUE_SIZE,
        run="run",
        stop=stop,
        read_pause=read_pause,
    )


class WatchedJobs(JobService):
    """A job service that records how many jobs wait after each submission."""

    waited: ClassVar[list[int]] = []

    async def submit_unless_taken_down(self, order: JobRequest, *, idempotency_key: str | None = None) -> Job:
        job = await super().submit_unless_taken_down(order, idempotency_key=idempotency_key)
        self.waited.append((await self.waiting()).jobs)
        return job


async def test_a_queue_is_fed_no_fuller_than_leaves_room_for_others(
    workshop: Workshop, queue: JobQueue, jobs: WatchedJobs, tmp_path: Path
) -> None:
    keys = [f"gall/{number}_original.jpg" for number in range(9)]
    for key in keys:
        await workshop.upload(key)
    (tmp_path / "text").write_bytes(b"no picture")
    await workshop.upload(keys[4], path=tmp_path / "text")
    one = orderer(workshop, jobs, Stop())
    ordering = [asyncio.create_task(one.run(key)) for key in keys]

    async def is_as_full_as_may_be() -> bool:
        return (await jobs.waiting()).jobs == JOBS_PER_WORKER

    await until(is_as_full_as_may_be)
    mine = await jobs.submit_unless_taken_down(JobRequest(key=ORIGINAL))
    assert mine.status == "queued"
    assert jobs.waited == [1, JOBS_PER_WORKER, JOBS_PER_WORKER + 1]
    jobs.waited.clear()
    with anyio.fail_after(60):
        async with running_worker(worker(workshop, queue, jobs)):
            made = await asyncio.gather(*ordering)
    assert _results(made) == {"rendered": 8, "failed": 1}
    assert max(jobs.waited) <= QUEUE_SIZE // 2 + 1  # 1 for the job posted above, if it still waits
    assert made[4].code == "not-an-image"
    assert (await one.run(keys[0])).result == "fresh"


async def test_who_orders_where_nobody_works_is_told_so_once(
    workshop: Workshop, queue: JobQueue, jobs: JobService
) -> None:
    keys = [f"gall/{number}_original.jpg" for number in range(JOBS_PER_WORKER + 2)]
    for key in keys:
        await workshop.upload(key)
    one = orderer(workshop, jobs, Stop())
    with structlog.testing.capture_logs() as lines:
        ordering = [asyncio.create_task(one.run(key)) for key in keys]

        async def is_told() -> bool:
            return "no_workers" in [line["event"] for line in lines]

        await until(is_told)
        with anyio.fail_after(60):
            async with running_worker(worker(workshop, queue, jobs)):
                await asyncio.gather(*ordering)
    assert [line["log_level"] for line in lines if line["event"] == "no_workers"] == ["warning"]


async def test_a_run_that_waits_for_a_paused_queue_logs_that_once(
    workshop: Workshop, queue: JobQueue, jobs: JobService
) -> None:
    await workshop.upload()
    control = JobControl(queue=queue, jobs=jobs)
    await control.pause()
    with structlog.testing.capture_logs() as lines, anyio.fail_after(60):
        async with running_worker(worker(workshop, queue, jobs)):
            ordering = asyncio.create_task(
                orderer(workshop, jobs, Stop(), read_pause=control.paused_since).run(ORIGINAL)
            )

            async def is_told() -> bool:
                return "queue_paused" in [line["event"] for line in lines]

            await until(is_told)
            await control.resume()
            assert (await ordering).result == "rendered"
    assert [line["log_level"] for line in lines if line["event"] == "queue_paused"] == ["warning"]


def _results(originals: list[OriginalDone]) -> dict[str, int]:
    results = [one.result for one in originals]
    return {result: results.count(result) for result in results}


async def test_a_run_that_goes_on_finds_the_jobs_that_it_had_ordered(
    workshop: Workshop, queue: JobQueue, jobs: JobService
) -> None:
    await workshop.upload()
    stop = Stop()
    ordering = asyncio.create_task(orderer(workshop, jobs, stop, remake="all").run(ORIGINAL))

    async def has_job() -> bool:
        return (await jobs.waiting()).jobs == 1

    await until(has_job)
    stop.request("enough")
    with pytest.raises(Stopped):
        await ordering
    with anyio.fail_after(60):
        async with running_worker(worker(workshop, queue, jobs)):
            again = orderer(workshop, jobs, Stop(), remake="all")
            assert (await again.run(ORIGINAL)).result == "rendered"
            assert (await again.run(ORIGINAL)).result == "rendered"
    assert workshop.calls["put"] == len(NAMES)
