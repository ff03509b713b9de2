"""`gf-images worker` beside a service that works no jobs itself."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest import demo
from loadtest.paint import Photograph, paint
from loadtest.servers.service import START_SECONDS, Service, order, signed, started, starting
from tests.end_to_end.senders import metric
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "gall/1/1_1_original.jpg"


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Service]:
    with started(Service(folder=tmp_path / "front", settings={"WORKERS": "0"})) as one:
        (one.store / KEY).parent.mkdir(parents=True)
        paint(one.store / KEY, Photograph(width=4000, height=3000))
        yield one


@pytest.fixture
def worker(front: Service, tmp_path: Path) -> Service:
    settings = {"QUEUE": f"sqlite:///{front.folder}/queue.db", "STORE": f"file://{front.store}"}
    return Service(folder=tmp_path / "worker", settings=settings, command="worker")


def post(service: Service) -> str:
    body = order(KEY)
    return str(httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body)).headers["location"])


def test_a_service_without_workers_renders_for_page_views_and_leaves_jobs_to_the_worker(
    front: Service, worker: Service
) -> None:
    async def counted() -> bool:  # a moment after the job has ended
        return metric(worker, "jobs_total") == 1

    location = post(front)
    assert httpx.get(f"{front.url}/img/{KEY}/small", timeout=30).status_code == httpx.codes.FOUND
    assert httpx.get(front.url + location).json()["status"] == "queued"
    with started(worker):
        assert demo.ended(front, location).status == "done"
        asyncio.run(until(counted))
        with pytest.raises(httpx.ConnectError):
            httpx.get(worker.url)


def test_a_worker_that_is_asked_to_stop_finishes_what_it_has(front: Service, worker: Service) -> None:
    with ExitStack() as running:
        running.enter_context(started(worker))
        location = post(front)

        async def is_begun() -> bool:
            return "job_started" in worker.log.read_text()

        asyncio.run(until(is_begun))
        assert worker.stop() == 0
        job = demo.ended(front, location)
    assert (job.status, job.attempts) == ("done", 1)
    assert (front.store / "gall/1/1_1_xlarge.jpg").exists()


def test_a_worker_whose_port_for_metrics_is_taken_takes_no_job(front: Service, worker: Service) -> None:
    location = post(front)
    worker.metrics_port = front.metrics_port
    with starting(worker):
        assert worker.process is not None
        assert worker.process.wait(timeout=START_SECONDS) == 1
    assert f"METRICS_PORT: cannot listen on 127.0.0.1:{front.metrics_port}" in worker.log.read_text()
    job = httpx.get(front.url + location).json()
    assert (job["status"], job["attempts"]) == ("queued", 0)
