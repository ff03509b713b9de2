"""Jobs on a bucket's bad days: every one ends done, nothing is wrong, missing or left behind."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadtest import seaweed
from loadtest.paint import Photograph, paint
from proxy.app import running
from proxy.errors import NotFound, StoreUnavailable
from proxy.orders import Order
from proxy.parts import build
from proxy.settings import Settings
from proxy.sizes import SIZES_FILE, read_sizes
from tests.proxy.stores.fault_proxy import CALM, Fault, FaultProxy
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from proxy.jobs import Jobs
    from proxy.outcomes import Job
    from proxy.parts import Parts

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

JOBS = 200
STOP_SECONDS = 20
"""How long nothing at all is answered; every attempt to reach the store ends before."""


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    folder = tmp_path_factory.mktemp("weed")
    with seaweed.running(folder) as one:
        paint(folder / "photo.jpg", Photograph(width=640, height=480, noise=4))
        client = one.client()
        body = (folder / "photo.jpg").read_bytes()
        for number in range(JOBS):
            client.put_object(Bucket=seaweed.PUBLIC_BUCKET, Key=key(number), Body=body)
        yield one


def key(number: int) -> str:
    return f"gall/{number}/{number}_1_original.jpg"


@asynccontextmanager
async def serving(proxy: FaultProxy, folder: Path) -> AsyncIterator[Parts]:
    """Lend a service that reaches its bucket through the proxy, with workers for many jobs that wait."""
    settings = Settings(
        store=f"s3://{seaweed.PUBLIC_BUCKET}",
        s3_endpoint_url=proxy.url,
        s3_addressing="path",
        s3_acl="",
        aws_region="us-east-1",
        public_base_url="http://images.test",
        queue=f"sqlite:////{folder}/queue.db",
        queue_size=JOBS,
        workers=32,
        metrics_port=0,
        sizes=read_sizes(Path(SIZES_FILE)),
    )
    parts = build(settings)
    async with running(parts, settings):
        yield parts


async def ended(jobs: Jobs, job: Job) -> Job:
    async def look() -> Job | None:
        now = await jobs.get(job.id)
        return now if now.status in {"done", "error"} else None

    return await until(look, seconds=500)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(latency_seconds=2),
        Fault(errors=0.3),
        Fault(resets=0.3),
        Fault(cuts=0.3),
        Fault(stopped=True),
    ],
    ids=["latency", "errors", "resets", "cuts", "stop"],
)
async def test_two_hundred_jobs_all_end_done(
    weed: seaweed.Seaweed, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.ADMIN.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.ADMIN.secret_access_key)
    async with FaultProxy(weed.port) as proxy:
        before = descriptors()
        async with serving(proxy, tmp_path) as parts:
            proxy.fault = fault
            posted = [await parts.jobs.submit(Order(key=key(number), force=True)) for number in range(JOBS)]
            if fault.stopped:
                asyncio.get_running_loop().call_later(STOP_SECONDS, setattr, proxy, "fault", CALM)
            jobs = await asyncio.gather(*(ended(parts.jobs, job) for job in posted))
            proxy.fault = CALM
            assert [job.error for job in jobs if job.error] == []
        await proxy.until_connections(0)

        async def all_given_back() -> bool:
            await asyncio.sleep(0)
            return descriptors() <= before

        await until(all_given_back)
    client = weed.client()
    for job in jobs:
        assert len(job.derivatives) == 4
        for made in job.derivatives:
            kept = client.head_object(Bucket=seaweed.PUBLIC_BUCKET, Key=made.key)
            assert (kept["ContentLength"], kept["ContentType"]) == (made.bytes, "image/jpeg")
    assert len({job.derivatives[0].bytes for job in jobs}) == 1


async def test_a_store_that_hangs_costs_a_page_seconds_and_is_used_again_when_it_answers(
    weed: seaweed.Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.ADMIN.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.ADMIN.secret_access_key)
    async with FaultProxy(weed.port) as proxy, serving(proxy, tmp_path) as parts:
        known = await parts.derivatives.locate(key(0), "small")
        proxy.fault = Fault(stopped=True)
        assert (await parts.derivatives.locate(key(0), "small")).key == known.key
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable):
                await parts.derivatives.locate("gall/x_original.jpg", "small")
        assert await parts.readiness.check() == ["store: did not answer within 5 s"]
        proxy.fault = CALM
        assert await parts.readiness.check() == []
        with pytest.raises(NotFound):
            await parts.derivatives.locate("gall/x_original.jpg", "small")
