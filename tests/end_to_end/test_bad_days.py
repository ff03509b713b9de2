"""Jobs on a bucket's bad days: every one ends done, nothing is wrong, missing or left behind."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from proxy.app.lifecycle import running
from proxy.app.wiring import build
from proxy.errors import NotFound, StoreUnavailable
from proxy.jobs.request import JobRequest
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes
from tests.held import descriptors, resident_bytes
from tests.proxy.stores.fault_proxy import CALM, Fault, FaultProxy
from tests.thorough import count
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from proxy.app.wiring import Components
    from proxy.jobs.job import Job, JobDerivative
    from proxy.jobs.service import JobService

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

JOBS = count(200, otherwise=40)
WARM_UP_JOBS = 64
"""Two for each worker."""
STOP_SECONDS = 20
"""How long nothing at all is answered; every attempt to reach the store ends before."""
MAX_GROWTH_BYTES = 24 << 20
"""Room above the few megabytes that such a day was seen to take."""


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("weed")) as one, pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", seaweed.ADMIN.access_key_id)
        environment.setenv("AWS_SECRET_ACCESS_KEY", seaweed.ADMIN.secret_access_key)
        yield one


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    paint(path, Photograph(width=640, height=480, noise=4))
    return path.read_bytes()


@pytest.fixture(scope="module")
async def calm(weed: seaweed.Seaweed, photo: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the MD5 of each size as a calm day makes it; that day also fills every pool and cache of this process."""
    upload(weed, "calm", photo, jobs=WARM_UP_JOBS)
    async with FaultProxy(weed.port) as proxy, serving(weed, proxy, tmp_path_factory.mktemp("calm")) as components:
        jobs = await all_ended(components, "calm", jobs=WARM_UP_JOBS)
    assert [job.error for job in jobs if job.error] == []
    md5s = stored(weed, jobs)
    assert len(set(md5s)) == 1
    return dict(zip((made.size for made in jobs[0].derivatives), md5s[0], strict=True))


def key(day: str, number: int) -> str:
    return f"{day}/{number}_1_original.jpg"


def upload(weed: seaweed.Seaweed, day: str, photo: bytes, *, jobs: int = JOBS) -> None:
    client = weed.client()
    for number in range(jobs):
        client.put_object(Bucket=seaweed.PUBLIC_BUCKET, Key=key(day, number), Body=photo)


def stored(weed: seaweed.Seaweed, jobs: list[Job]) -> list[tuple[str, ...]]:
    """Read every derivative, past the service and the proxy; give the MD5s job by job."""
    client = weed.client()

    def md5(made: JobDerivative) -> str:
        kept = client.get_object(Bucket=seaweed.PUBLIC_BUCKET, Key=made.key)
        body = kept["Body"].read()
        assert (len(body), kept["ContentType"]) == (made.bytes, "image/jpeg")
        return hashlib.md5(body, usedforsecurity=False).hexdigest()

    return [tuple(md5(made) for made in job.derivatives) for job in jobs]


@asynccontextmanager
async def serving(weed: seaweed.Seaweed, proxy: FaultProxy, folder: Path) -> AsyncIterator[Components]:
    """Lend a service that reaches its bucket through the proxy, with workers for many jobs that wait."""
    settings = Settings(
        store=f"s3://{seaweed.PUBLIC_BUCKET}",
        s3_endpoint_url=proxy.url,
        s3_addressing="path",
        s3_acl="",
        aws_region="us-east-1",
        public_base_url=f"{weed.url}/{seaweed.PUBLIC_BUCKET}",
        queue=f"sqlite:////{folder}/queue.db",
        queue_size=JOBS,
        workers=32,
        memory_budget_mb=256,  # few of them render at a time: the rest wait for the store
        metrics_port=0,
        sizes=read_sizes(Path(SIZES_FILE)),
    )
    components = build(settings)
    async with running(components, settings):
        yield components


async def ended(jobs: JobService, job: Job) -> Job:
    async def look() -> Job | None:
        now = await jobs.get(job.id)
        return now if now.status in {"done", "error"} else None

    return await until(look, seconds=500)


async def all_ended(components: Components, day: str, *, jobs: int = JOBS) -> list[Job]:
    """Order every original of a day, and wait for the end."""
    posted = [await components.jobs.submit(JobRequest(key=key(day, number), force=True)) for number in range(jobs)]
    return list(await asyncio.gather(*(ended(components.jobs, job) for job in posted)))


FAULTS = {
    "latency": Fault(latency_seconds=2),
    "errors": Fault(errors=0.3),
    "resets": Fault(resets=0.3),
    "cuts": Fault(cuts=0.3),
    "lies": Fault(lies=0.15, garbles=0.15),
    "stop": Fault(stopped=True),
}


@pytest.mark.parametrize("day", FAULTS)
async def test_many_jobs_all_end_done_and_what_they_make_is_what_a_calm_day_makes(
    weed: seaweed.Seaweed, calm: dict[str, str], photo: bytes, day: str, tmp_path: Path
) -> None:
    upload(weed, day, photo)
    async with FaultProxy(weed.port) as proxy:
        before = descriptors()
        async with serving(weed, proxy, tmp_path) as components:
            resident = resident_bytes()
            proxy.fault = FAULTS[day]
            if proxy.fault.stopped:
                asyncio.get_running_loop().call_later(STOP_SECONDS, setattr, proxy, "fault", CALM)
            jobs = await all_ended(components, day)
            assert resident_bytes() - resident < MAX_GROWTH_BYTES
            proxy.fault = CALM
            assert [job.error for job in jobs if job.error] == []
        await proxy.until_connections(0)

        async def all_given_back() -> bool:
            await asyncio.sleep(0)
            return descriptors() <= before

        await until(all_given_back)
    assert {made.size for job in jobs for made in job.derivatives} == set(calm)
    assert set(stored(weed, jobs)) == {tuple(calm.values())}


async def test_a_store_that_hangs_costs_a_page_seconds_and_is_used_again_when_it_answers(
    weed: seaweed.Seaweed, calm: dict[str, str], tmp_path: Path
) -> None:
    async with FaultProxy(weed.port) as proxy, serving(weed, proxy, tmp_path) as components:
        known = await components.derivatives.locate(key("calm", 0), "small")
        proxy.fault = Fault(stopped=True)
        assert (await components.derivatives.locate(key("calm", 0), "small")).key == known.key
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable):
                await components.derivatives.locate("gall/x_original.jpg", "small")
        assert await components.readiness.check() == ["store: timed out after 5 s"]
        proxy.fault = CALM
        assert await components.readiness.check() == []
        with pytest.raises(NotFound):
            await components.derivatives.locate("gall/x_original.jpg", "small")
