"""Posts that join a running job, on every queue: its derivatives are of the original that was there at the post."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from pipeline.errors import Corrupt
from proxy.derivatives.results import GenerationResult
from proxy.errors import Busy, QueueUnavailable
from proxy.jobs.joins import close
from proxy.jobs.worker import JobWorker
from proxy.queues.worker import running_worker
from tests.proxy.queues.asking import take
from tests.proxy.queues.test_jobs import jobs_of, order
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pipeline.errors import Refused
    from proxy.jobs.job import Job
    from proxy.jobs.service import JobService
    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another

pytestmark = pytest.mark.anyio


@pytest.fixture
def jobs(queue: JobQueue) -> JobService:
    return jobs_of(queue)


@dataclass
class Looks:
    """Stands for the service of derivatives: it only notes which version of the original it has seen."""

    version: int = 1
    fault: Refused | None = None
    seen: list[int] = field(default_factory=list)
    after: Callable[[], Awaitable[object]] | None = None
    """What happens once, after a look and before the worker has its result."""

    async def generate(self, _original: str, _sizes: Sequence[str] = (), **_how: object) -> GenerationResult:
        """Look at the original."""
        self.seen.append(self.version)
        made = GenerationResult(fault=self.fault)
        after, self.after = self.after, None
        if after:
            await after()
        return made


async def ended(queue: JobQueue, jobs: JobService, looks: Looks, *, posted: Job) -> Job:
    """Run a worker until a job has ended, and return the job."""
    worker = JobWorker(
        queue=queue,
        derivatives=looks,  # type: ignore[arg-type] # all of it that a worker calls
        complete_job=jobs.complete,
        concurrency=1,
        grace_seconds=30,
    )

    async def look() -> Job | None:
        now = await jobs.get(posted.id)
        return now if now.status in {"done", "error"} else None

    async with running_worker(worker):
        return await until(look)


@pytest.mark.parametrize("fault", [None, Corrupt("It is damaged.")], ids=["replaced", "mended"])
async def test_a_post_after_the_last_look_of_a_running_job_has_it_look_again(
    queue: JobQueue, another: Another, jobs: JobService, *, fault: Refused | None
) -> None:
    elsewhere = jobs_of(await another())
    looks, joined = Looks(fault=fault), []

    async def correct() -> None:
        looks.version, looks.fault = 2, None
        joined.append(await elsewhere.submit(order(1)))

    looks.after = correct
    posted = await jobs.submit(order(1))
    job = await ended(queue, jobs, looks, posted=posted)
    assert [one.id for one in joined] == [job.id]
    assert (job.status, job.attempts, job.error, looks.seen) == ("done", 1, None, [1, 2])


async def test_a_job_that_nobody_joins_looks_once(queue: JobQueue, jobs: JobService) -> None:
    looks = Looks()
    await ended(queue, jobs, looks, posted=await jobs.submit(order(1)))
    assert looks.seen == [1]


async def test_a_post_for_a_job_that_is_about_to_end_gets_one_of_its_own(queue: JobQueue, jobs: JobService) -> None:
    posted = await jobs.submit(order(1))
    taken = await take(queue)
    assert (await jobs.submit(order(1))).id == posted.id
    assert await close(queue, taken)
    assert not await close(queue, taken)
    own = await jobs.submit(order(1))
    assert own.id != posted.id
    assert (await jobs.submit(order(1))).id == own.id
    with pytest.raises(Busy, match="about to end"):
        await jobs.replay(posted.id)


async def test_a_message_that_is_sent_again_names_its_job_even_if_that_is_about_to_end(
    queue: JobQueue, jobs: JobService
) -> None:
    posted = await jobs.submit(order(1), idempotency_key="msg_1")
    await close(queue, await take(queue))
    assert (await jobs.submit(order(1), idempotency_key="msg_1")).id == posted.id


async def test_a_job_that_is_tried_again_can_be_joined_again(queue: JobQueue, jobs: JobService) -> None:
    posted = await jobs.submit(order(1))
    taken = await take(queue)
    await close(queue, taken)
    await queue.retry(taken, "the store failed")
    assert (await jobs.submit(order(1))).id == posted.id
    again = await take(queue)
    assert (await jobs.submit(order(1))).id == posted.id
    assert await close(queue, again)


async def test_an_outage_while_a_job_runs_costs_no_attempt_and_posts_join_the_next_run(
    queue: JobQueue, jobs: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, joined = Looks(), []
    outages = iter([QueueUnavailable("The queue is away.")])
    recall = queue.recall

    async def fail_once(name: str) -> str | None:
        if name.startswith("joined:") and (outage := next(outages, None)):  # the run is closed for posts by now
            looks.after = join
            raise outage
        return await recall(name)

    async def join() -> None:
        joined.append(await jobs.submit(order(1)))
        looks.version += 1

    posted = await jobs.submit(order(1))
    monkeypatch.setattr(queue, "recall", fail_once)
    with capture_logs() as logs:
        job = await ended(queue, jobs, looks, posted=posted)
    assert (job.status, job.attempts) == ("done", 1)
    assert [one.id for one in joined] == [posted.id]
    assert looks.seen == [1, 1, 2]
    abandoned = [(one["event"], one["detail"]) for one in logs if one["log_level"] == "warning"]
    assert abandoned == [("job_lease_abandoned", "The queue is away.")]
