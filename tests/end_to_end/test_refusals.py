"""A bucket that refuses everything for a while: jobs wait for it, and none ends in error.

`REFUSED_SECONDS=60` lets it refuse fifty jobs for a minute, by hand; without it, until two later probes are refused.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
from prometheus_client import REGISTRY

from loadtest import demo
from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from loadtest.servers.service import Service, on_bucket, order, running, signed, started
from proxy.app.lifecycle import running as components_running
from proxy.app.wiring import build
from proxy.errors import StoreRefused
from proxy.jobs.request import JobRequest
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes
from tests.end_to_end.senders import metric
from tests.proxy.stores.fault_proxy import CALM, Fault, FaultProxy, Refusal
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from proxy.app.wiring import Components
    from proxy.jobs.job import Job

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

JOBS = 50
REFUSED_SECONDS = float(os.environ.get("REFUSED_SECONDS", "0"))
REFUSALS = {
    "disabled-key": Refusal(code="InvalidAccessKeyId"),
    "policy": Refusal(code="AccessDenied"),
    "clock": Refusal(code="RequestTimeTooSkewed"),
    "token": Refusal(status=400, code="ExpiredToken"),
    "bucket": Refusal(status=404, code="NoSuchBucket"),
    "acl": Refusal(status=400, code="AccessControlListNotSupported", method="PUT"),
    "read-only": Refusal(method="PUT"),
}


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("weed")) as one, pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", seaweed.ADMIN.access_key_id)
        environment.setenv("AWS_SECRET_ACCESS_KEY", seaweed.ADMIN.secret_access_key)
        yield one


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    paint(path, Photograph(width=320, height=240, noise=4))
    return path


def upload(weed: seaweed.Seaweed, folder: str, photo: Path, *, jobs: int) -> list[str]:
    keys = [f"{folder}/{number}_1_original.jpg" for number in range(jobs)]
    for key in keys:
        weed.put(key, photo)
    return keys


@asynccontextmanager
async def serving(proxy: FaultProxy, weed: seaweed.Seaweed, queue: str, **more: object) -> AsyncIterator[Components]:
    """Yield a service that reaches its bucket through the proxy; browsers read past it."""
    settings = Settings(
        store=f"s3://{seaweed.PUBLIC_BUCKET}",
        s3_endpoint_url=proxy.url,
        s3_addressing="path",
        aws_region="us-east-1",
        public_base_url=f"{weed.url}/{seaweed.PUBLIC_BUCKET}",
        queue=queue,
        metrics_port=0,
        sizes=read_sizes(Path(SIZES_FILE)),
        **more,  # type: ignore[arg-type] # strings for strings
    )
    components = build(settings)
    async with components_running(components, settings):
        yield components


def paused() -> float:
    return REGISTRY.get_sample_value("store_paused") or 0.0


async def seen(look: Callable[[], bool]) -> None:
    async def looked() -> bool:
        await asyncio.sleep(0)
        return look()

    await until(looked)


async def ended(components: Components, job: Job) -> Job:
    async def look() -> Job | None:
        now = await components.jobs.get(job.id)
        return now if now.status in {"done", "error"} else None

    return await until(look, seconds=120)


async def test_fifty_posts_while_the_credentials_are_refused_all_end_done(
    weed: seaweed.Seaweed, photo: Path, any_queue: str, request: pytest.FixtureRequest
) -> None:
    keys = upload(weed, f"fifty-{request.node.callspec.id}", photo, jobs=JOBS)
    async with FaultProxy(weed.port) as proxy, serving(proxy, weed, any_queue) as components:
        assert await components.readiness.check() == []
        jobs = [await components.jobs.submit(JobRequest(key=key)) for key in keys[:20]]
        await ended(components, jobs[0])
        with structlog.testing.capture_logs() as logs:
            proxy.fault = Fault(refusal=REFUSALS["disabled-key"])
            jobs += [await components.jobs.submit(JobRequest(key=key)) for key in keys[20:]]
            await seen(lambda: paused() == 1)
            # Page views fail at once, and readiness has the reason.
            with pytest.raises(StoreRefused):
                await components.derivatives.locate("gall/x_original.jpg", "small")
            assert await components.readiness.check() == ["store: store-refused: InvalidAccessKeyId (403)"]
            await proxy.until_seen(len(proxy.seen) + 2)  # the later probes are refused as well
            await asyncio.sleep(REFUSED_SECONDS)
            states = [(await components.jobs.get(job.id)) for job in jobs]
            assert {state.status for state in states} <= {"done", "queued", "processing"}
            assert {state.status for state in states[20:]} == {"queued"}
            proxy.fault = CALM
            jobs = await asyncio.gather(*(ended(components, job) for job in jobs))
    assert [(job.status, job.attempts, job.error) for job in jobs] == [("done", 1, None)] * JOBS
    events = [line["event"] for line in logs]
    assert [event for event in events if event.startswith(("write_probe", "job_failed", "job_retry"))] == [
        "write_probe_failed",
        "write_probe_passed",
    ]
    assert paused() == 0


@pytest.mark.parametrize("reason", [*REFUSALS])
async def test_whatever_is_refused_for_everybody_holds_the_work(
    weed: seaweed.Seaweed, photo: Path, reason: str, tmp_path: Path
) -> None:
    keys = upload(weed, reason, photo, jobs=6)
    async with FaultProxy(weed.port) as proxy, serving(proxy, weed, f"sqlite:////{tmp_path}/queue.db") as components:
        assert await components.readiness.check() == []
        proxy.fault = Fault(refusal=REFUSALS[reason])
        jobs = [await components.jobs.submit(JobRequest(key=key)) for key in keys]
        await seen(lambda: paused() == 1)
        assert await components.readiness.check() != []
        assert {(await components.jobs.get(job.id)).status for job in jobs} <= {"queued", "processing"}
        proxy.fault = CALM
        jobs = await asyncio.gather(*(ended(components, job) for job in jobs))
    assert {(job.status, job.error) for job in jobs} == {("done", None)}


async def test_a_service_that_starts_while_everything_is_refused_is_not_ready_and_goes_on_by_itself(
    weed: seaweed.Seaweed, photo: Path, tmp_path: Path
) -> None:
    (key,) = upload(weed, "start", photo, jobs=1)
    async with FaultProxy(weed.port) as proxy:
        proxy.fault = Fault(refusal=REFUSALS["read-only"])
        async with serving(proxy, weed, f"sqlite:////{tmp_path}/queue.db") as components:
            assert await components.readiness.check() == ["store: store-refused: read-only: AccessDenied (403)"]
            job = await components.jobs.submit(JobRequest(key=key))
            proxy.fault = CALM
            assert (await ended(components, job)).status == "done"
            assert await components.readiness.check() == []


ONE_KEY = {
    "store-refused": Refusal(path="/one-key"),
    "bad-key": Refusal(status=400, code="XMinioInvalidObjectName", path="/one-key"),
}


@pytest.mark.parametrize(("code", "probes"), [("store-refused", 3), ("bad-key", 1)])
async def test_what_is_refused_for_one_key_ends_its_job_alone(
    weed: seaweed.Seaweed, photo: Path, code: str, probes: int, tmp_path: Path
) -> None:
    (one,), others = upload(weed, f"one-key-{code}", photo, jobs=1), upload(weed, f"others-{code}", photo, jobs=3)
    errors_before = store_errors()
    async with FaultProxy(weed.port) as proxy, serving(proxy, weed, f"sqlite:////{tmp_path}/queue.db") as components:
        assert await components.readiness.check() == []
        proxy.fault = Fault(refusal=ONE_KEY[code])
        posted = [await components.jobs.submit(JobRequest(key=key)) for key in (one, *others)]
        jobs = await asyncio.gather(*(ended(components, job) for job in posted))
        assert [job.status for job in jobs] == ["error", "done", "done", "done"]
        assert jobs[0].error is not None
        assert (jobs[0].error.code, jobs[0].attempts) == (code, 1)
        assert paused() == 0
        assert await components.readiness.check() == []
        assert len([seen for seen in proxy.seen if seen.method == "PUT" and "write-probe" in seen.target]) == probes
    assert (store_errors() > errors_before) == (code == "store-refused")


def store_errors() -> float:
    samples = (sample for family in REGISTRY.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == "store_errors_total")


def test_the_whole_main_job_on_a_bucket_that_blocks_acls(weed: seaweed.Seaweed, photo: Path, tmp_path: Path) -> None:
    async def work() -> None:
        async with FaultProxy(weed.port) as proxy:
            proxy.fault = Fault(refusal=Refusal(header="x-amz-acl"))
            settings = on_bucket(weed, seaweed.ADMIN, S3_ENDPOINT_URL=proxy.url)
            del settings["S3_ACL"]
            await asyncio.to_thread(main_job, settings)
            puts = [one for one in proxy.seen if one.method == "PUT"]
            assert [("x-amz-acl" in one.headers) for one in puts[:4]] == [True, False, True, False]

    def main_job(settings: dict[str, str]) -> None:
        with running(tmp_path, weed=weed, **settings) as service:
            key = demo.store_original(service, photo)
            rows = [*demo.eager(service, key), demo.lazy(service, key)]
            assert [row.size for row in rows] == ["small", "medium", "large", "xlarge"]
            for row in rows:
                assert httpx.get(f"{service.settings['PUBLIC_BASE_URL']}/{row.key}").is_success
            assert httpx.get(f"{service.url}/readyz").status_code == httpx.codes.OK

    asyncio.run(work())


def test_a_put_only_credential_without_a_public_origin_is_not_ready_and_is_told_why(
    weed: seaweed.Seaweed, tmp_path: Path
) -> None:
    service = Service(folder=tmp_path, settings=on_bucket(weed, seaweed.WRITER), weed=weed)
    service.start()
    try:
        said = asyncio.run(until(lambda: ready_response(service)))
        assert said.status_code == httpx.codes.SERVICE_UNAVAILABLE
        missing = "store: store-refused: put-only, without ORIGINALS_BASE_URL: AccessDenied (403)"
        assert said.json()["missing"] == [missing]
    finally:
        service.stop()


async def ready_response(service: Service) -> httpx.Response | None:
    """Return the response of a service that listens and has probed its store, else None."""
    try:
        async with httpx.AsyncClient() as client:
            said = await client.get(f"{service.url}/readyz")
    except httpx.TransportError:
        return None
    return None if "starting" in said.text or "timed out" in said.text else said


async def test_a_worker_in_another_process_pauses_as_well(weed: seaweed.Seaweed, photo: Path, tmp_path: Path) -> None:
    keys = upload(weed, "elsewhere", photo, jobs=6)
    async with FaultProxy(weed.port) as proxy:
        settings = on_bucket(weed, seaweed.ADMIN, S3_ENDPOINT_URL=proxy.url, QUEUE=f"sqlite:////{tmp_path}/queue.db")
        front = Service(folder=tmp_path / "front", settings={**settings, "WORKERS": "0"})
        worker = Service(folder=tmp_path / "worker", settings=settings, command="worker")
        loop = asyncio.get_running_loop()

        def strike(fault: Fault) -> None:
            loop.call_soon_threadsafe(setattr, proxy, "fault", fault)

        await asyncio.to_thread(elsewhere, front, worker, strike, keys)


def elsewhere(front: Service, worker: Service, strike: Callable[[Fault], None], keys: list[str]) -> None:
    async def is_paused() -> bool:
        return metric(worker, "store_paused") == 1

    with started(front), started(worker):
        strike(Fault(refusal=REFUSALS["disabled-key"]))
        bodies = [order(key) for key in keys]
        locations = [
            str(httpx.post(f"{front.url}/v1/jobs", content=body, headers=signed(body)).headers["location"])
            for body in bodies
        ]
        asyncio.run(until(is_paused))
        assert {httpx.get(front.url + location).json()["status"] for location in locations} <= {"queued", "processing"}
        strike(CALM)
        jobs = [demo.ended(front, location) for location in locations]
    assert {(job.status, job.attempts) for job in jobs} == {("done", 1)}
