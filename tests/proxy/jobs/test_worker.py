"""The job worker."""

from __future__ import annotations

import asyncio
import errno
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.concurrency.backoff import RetryPolicy
from proxy.derivatives.picture.lookups import Pictures
from proxy.errors import DiedAgain, NoRoom, NotFound, StoreRefused, UnexpectedError
from proxy.jobs import worker
from proxy.jobs.request import JobRequest
from proxy.jobs.retry_policies import RETRY_POLICIES
from proxy.jobs.service import ATTEMPTS, JobService
from proxy.jobs.worker import JobWorker
from proxy.keys.addresses import PublicAddresses
from proxy.queues.factory import open_queue
from proxy.queues.worker import running_worker
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.outbox import Outbox
from tests.proxy.conftest import ORIGINAL, Workshop
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.errors import ImagesError
    from proxy.jobs.job import Job
    from proxy.queues.base import JobQueue

pytestmark = pytest.mark.anyio

ORDER = JobRequest(key=ORIGINAL)
OPERATING = (Path(__file__).parents[3] / "docs" / "operating.md").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A queue with its job service, and what its workers need."""

    queue: JobQueue
    jobs: JobService
    workshop: Workshop

    @asynccontextmanager
    async def worked(self, *, grace_seconds: float = 30) -> AsyncIterator[JobWorker]:
        """Yield a worker that runs for the duration of the block."""
        worker = JobWorker(
            queue=self.queue,
            derivatives=self.workshop.derivatives,
            complete_job=self.jobs.complete,
            pictures=Pictures(
                store=self.workshop.store, derivatives=self.workshop.derivatives, addresses=PublicAddresses("/files")
            ),
            concurrency=2,
            grace_seconds=grace_seconds,
        )
        async with running_worker(worker):
            yield worker

    async def ended(self, job: Job) -> Job:
        """Wait until a job has ended, and return it."""

        async def refresh() -> Job | None:
            now = await self.jobs.get(job.id)
            return now if now.status in {"done", "error"} else None

        return await until(refresh)

    async def begun(self, worker: JobWorker) -> None:
        """Wait until a worker runs a job."""

        async def refresh() -> bool:
            await asyncio.sleep(0)
            return bool(worker.job_task_contexts)

        await until(refresh)


@pytest.fixture
async def site(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    queue = open_queue(f"sqlite:////{tmp_path_factory.mktemp('queue')}/queue.db", name="test")
    await queue.connect()
    outbox = Outbox(queue=queue, allow_list=parse_allow_list([]), keep_seconds=600)
    recipe = workshop.derivatives.recipe
    jobs = JobService(
        queue=queue, outbox=outbox, recipe=recipe, addresses=PublicAddresses("/files"), queue_size=64, keep_seconds=600
    )
    yield Site(queue=queue, jobs=jobs, workshop=workshop)
    await queue.disconnect()


async def test_a_job_ends_with_every_derivative(site: Site) -> None:
    await site.workshop.upload()
    async with site.worked():
        job = await site.ended(await site.jobs.submit(ORDER))
    assert (job.status, job.attempts, job.error) == ("done", 1, None)
    assert [(made.size, made.width, made.height) for made in job.derivatives] == [
        ("small", 60, 45),
        ("large", 240, 180),
        ("xlarge", 480, 360),
    ]
    assert job.created_at is not None
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at
    pictures = Pictures(
        store=site.workshop.store, derivatives=site.workshop.derivatives, addresses=PublicAddresses("/files")
    )
    assert job.picture == await pictures.describe(ORIGINAL)


async def test_a_job_for_one_size_has_the_picture_once_every_size_exists(site: Site) -> None:
    await site.workshop.upload()
    async with site.worked():
        alone = await site.ended(await site.jobs.submit(JobRequest(key=ORIGINAL, sizes=("large",))))
        whole = await site.ended(await site.jobs.submit(ORDER))
        beside = await site.ended(await site.jobs.submit(JobRequest(key=ORIGINAL, sizes=("large",), force=True)))
    assert [len(job.derivatives) for job in (alone, whole, beside)] == [1, 3, 1]
    assert alone.picture is None
    assert beside.picture == whole.picture
    assert whole.picture
    assert whole.picture.placeholder.lqip


async def test_what_is_no_image_fails_at_once_with_a_sentence(site: Site, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"this is not a picture")
    await site.workshop.upload(path=tmp_path / "text")
    async with site.worked():
        job = await site.ended(await site.jobs.submit(ORDER))
    assert (job.status, job.attempts) == ("error", 1)
    assert job.error is not None
    assert job.error.code == "not-an-image"
    assert len(job.error.detail) > 20


async def test_an_original_that_comes_after_its_webhook_is_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RETRY_POLICIES, NotFound, RetryPolicy(attempts=100, first_seconds=0.01, longest_seconds=0.01))
    async with site.worked():
        job = await site.jobs.submit(ORDER)

        async def tried() -> bool:
            return (await site.jobs.get(job.id)).attempts > 1

        await until(tried)
        await site.workshop.upload()
        job = await site.ended(job)
    assert job.status == "done"
    assert job.attempts > 1


def test_what_ended_a_render_process_twice_is_not_tried_again() -> None:
    assert next(RETRY_POLICIES[kind] for kind in RETRY_POLICIES if issubclass(DiedAgain, kind)).attempts == 1


async def test_an_original_that_never_comes_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RETRY_POLICIES, NotFound, RetryPolicy(attempts=3, first_seconds=0.01, longest_seconds=0.01))
    async with site.worked():
        job = await site.ended(await site.jobs.submit(ORDER))
    assert (job.status, job.attempts) == ("error", 3)
    assert job.error is not None
    assert job.error.code == "not-found"


async def test_machines_that_died_under_a_job_cost_none_of_its_tries(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RETRY_POLICIES, NotFound, RetryPolicy(attempts=3, first_seconds=0.01, longest_seconds=0.01))
    job = await site.jobs.submit(ORDER)
    begun = await site.queue.dequeue(timeout=5)
    assert begun is not None
    begun.attempts, begun.retry_delay, begun.retry_backoff = 10, 0.0, False  # as if ten machines had died during it
    await begun.retry("swept")
    async with site.worked():
        job = await site.ended(job)
    assert job.error is not None
    assert (job.attempts, job.error.code) == (10 + 3, "not-found")


async def test_a_job_that_failed_can_be_run_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"this is not a picture")
    await site.workshop.upload(path=tmp_path / "text")
    async with site.worked():
        job = await site.ended(await site.jobs.submit(ORDER))
        await site.workshop.upload()
        again = await site.jobs.replay(job.id)
        assert again.id == job.id
        assert (await site.ended(again)).status == "done"


async def test_whoever_reads_a_job_learns_nothing_of_the_store_behind_it(site: Site) -> None:
    await site.workshop.upload()
    site.workshop.store.refused = ORIGINAL
    async with site.worked():
        job = await site.ended(await site.jobs.submit(ORDER))
    assert job.error is not None
    assert (job.error.code, job.error.detail) == (StoreRefused.code, StoreRefused.public_message)


async def test_a_job_that_waits_for_a_retry_says_why_and_until_when(site: Site) -> None:
    async with site.worked():
        posted = await site.jobs.submit(ORDER)

        async def scheduled() -> Job | None:
            job = await site.jobs.get(posted.id)
            return job if job.retry else None

        job = await until(scheduled)
    assert job.retry is not None
    assert (job.status, job.error, job.retry.code) == ("queued", None, "not-found")
    assert "upload it" in job.retry.detail
    assert 0 < (job.retry.at - datetime.now(UTC)).total_seconds() < 6
    assert {one.status for one in job.sizes} == {"waiting"}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), NoRoom),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), NoRoom),
        (OSError(errno.EROFS, "Read-only file system"), NoRoom),
        (OSError(errno.EIO, "Input/output error"), NoRoom),
        (ValueError("/a/path"), UnexpectedError),
    ],
)
async def test_whatever_goes_wrong_here_puts_a_job_off_and_says_so_without_a_word_of_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, fault: Exception, kind: type[ImagesError]
) -> None:
    monkeypatch.setitem(RETRY_POLICIES, kind, RetryPolicy(attempts=3, first_seconds=0.2, longest_seconds=0.2))
    await site.workshop.upload()
    site.workshop.store.fault = fault
    async with site.worked():
        posted = await site.jobs.submit(ORDER)

        async def scheduled() -> Job | None:
            job = await site.jobs.get(posted.id)
            return job if job.retry else None

        job = await until(scheduled)
        assert job.retry is not None
        assert (job.retry.code, job.retry.detail) == (kind.code, kind.public_message)
        job = await site.ended(posted)
        assert (job.status, job.attempts, job.error and job.error.code) == ("error", 3, kind.code)
        site.workshop.store.fault = None
        assert (await site.ended(await site.jobs.replay(job.id))).status == "done"


async def test_a_job_says_what_came_of_each_size(site: Site) -> None:
    await site.workshop.upload()
    site.workshop.store.refused = "gall/58/58_1_large.jpg"
    async with site.worked():
        job = await site.ended(await site.jobs.submit(ORDER))
    assert (job.status, job.error and job.error.code) == ("error", "store-refused")
    assert {one.size: one.status for one in job.sizes} == {"small": "done", "large": "error", "xlarge": "done"}
    assert [one.size for one in job.derivatives] == ["small", "xlarge"]
    assert job.timings is not None
    assert job.timings.render_seconds > 0


async def test_what_was_there_counts_as_done_when_the_rest_cannot_be_made(site: Site) -> None:
    await site.workshop.upload()
    await site.workshop.derivatives.generate(ORIGINAL, ["small"])
    site.workshop.store.refused = ORIGINAL
    async with site.worked():
        job = await site.ended(await site.jobs.submit(ORDER))
    assert {one.size: one.status for one in job.sizes} == {"small": "done", "large": "error", "xlarge": "error"}


async def test_a_forced_job_that_is_run_again_makes_all_again(site: Site) -> None:
    await site.workshop.upload()
    async with site.worked():
        job = await site.ended(await site.jobs.submit(JobRequest(key=ORIGINAL, force=True)))
        site.workshop.calls.clear()
        again = await site.ended(await site.jobs.replay(job.id))
    assert (again.status, again.attempts, site.workshop.calls["put"]) == ("done", 1, 3)


async def test_a_job_that_is_done_makes_nothing_when_it_is_run_again(site: Site) -> None:
    await site.workshop.upload()
    async with site.worked():
        job = await site.ended(await site.jobs.submit(ORDER))
        site.workshop.calls.clear()
        again = await site.ended(await site.jobs.replay(job.id))
    assert (again.status, again.derivatives, site.workshop.calls["put"]) == ("done", job.derivatives, 0)


def test_an_original_that_is_not_there_yet_is_waited_for_a_minute() -> None:
    policy = RETRY_POLICIES[NotFound]
    waits = [sum(policy.wait_seconds(n) for n in range(1, policy.attempts)) for _ in range(50)]
    assert 50 < sum(waits) / 50 < 70


def test_operators_read_what_is_tried_again_how_often_and_how_far_apart() -> None:
    section = OPERATING.partition("\n## What is tried again\n")[2].partition("\n## ")[0]
    rows = [status.split(" | ")[:3] for status in section.splitlines() if status.startswith("| `")]
    assert [[cell.strip("| ") for cell in row] for row in rows] == [
        [f"`{kind.code}`", str(policy.attempts), waits(policy)] for kind, policy in RETRY_POLICIES.items()
    ]
    assert f"after {ATTEMPTS} begins" in section


def waits(policy: RetryPolicy) -> str:
    """Return the waits between attempts, worded as in the operator's manual."""
    if policy.attempts == 1:
        return "-"
    first, longest = f"{policy.first_seconds:g} s", f"{policy.longest_seconds:g} s"
    return first if policy.first_seconds == policy.longest_seconds else f"{first}, doubling to {longest}"


def test_a_job_may_be_begun_as_often_as_every_fault_allows_and_as_ten_machines_die_under_it() -> None:
    again = sum(policy.attempts - 1 for policy in RETRY_POLICIES.values())
    assert again + 1 + 10 <= ATTEMPTS


async def test_many_jobs_of_one_original_render_it_once(site: Site) -> None:
    await site.workshop.upload()
    async with site.worked():
        posted = await asyncio.gather(*(site.jobs.submit(ORDER, idempotency_key=str(n)) for n in range(50)))
        for job in posted:
            assert (await site.ended(job)).status == "done"
    assert (site.workshop.calls["fetch"], site.workshop.calls["put"]) == (1, 3)


async def test_stopping_lets_a_running_job_finish(site: Site) -> None:
    await site.workshop.upload()
    async with site.worked() as worker:
        job = await site.jobs.submit(ORDER)
        await site.begun(worker)
    assert (await site.jobs.get(job.id)).status == "done"


async def test_stopping_without_policy_gives_a_running_job_back(site: Site) -> None:
    await site.workshop.upload()
    async with site.worked(grace_seconds=0) as worker:
        job = await site.jobs.submit(ORDER)
        await site.begun(worker)
    async with site.worked():
        assert (await site.ended(job)).status == "done"


async def test_a_job_that_is_being_aborted_is_not_over_yet(site: Site) -> None:
    job = await site.jobs.submit(ORDER)
    taken = await site.queue.dequeue(timeout=1)
    assert taken is not None
    await taken.update(status=taken.status.ACTIVE)
    await site.queue.abort(taken, "swept")
    asked = await site.jobs.get(job.id)
    assert (asked.status, asked.error) == ("processing", None)


async def test_a_worker_that_is_stopped_before_it_began_stops(site: Site) -> None:
    async with asyncio.timeout(10):
        async with site.worked():
            pass


def test_an_unexpected_error_is_retried_for_a_day_with_growing_waits() -> None:
    policy = RETRY_POLICIES[UnexpectedError]
    waits = [policy.wait_seconds(number) for number in range(1, policy.attempts)]
    assert 18 < sum(waits) / 3600 < 30
    assert waits[0] < 15
    assert waits[-1] > 7200


async def deferred(site: Site, order: JobRequest) -> Job:
    """Post a job that meets an unexpected error, and wait until it is to be tried again."""
    posted = await site.jobs.submit(order)

    async def scheduled() -> Job | None:
        job = await site.jobs.get(posted.id)
        return job if job.retry and job.retry.code == "internal" else None

    return await until(scheduled)


async def test_jobs_after_an_unexpected_error_take_no_room_in_the_queue(site: Site) -> None:
    await site.workshop.upload()
    site.workshop.store.fault = ValueError("a fault of ours")
    async with site.worked():
        waiting = await deferred(site, ORDER)
    assert (await site.jobs.waiting()).jobs == 0
    again = await site.jobs.submit(ORDER, idempotency_key="again")
    assert again.id != waiting.id, "who posts it again does not wait for hours"
    assert (await site.jobs.waiting()).jobs == 1


async def test_the_number_of_jobs_that_wait_after_an_unexpected_error_is_bounded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MOST_DEFERRED", 1)
    await site.workshop.upload()
    site.workshop.store.fault = ValueError("a fault of ours")
    async with site.worked():
        await deferred(site, ORDER)
        further = await site.ended(await site.jobs.submit(JobRequest(key=ORIGINAL, force=True)))
    assert (further.status, further.attempts, further.error and further.error.code) == ("error", 1, "internal")
