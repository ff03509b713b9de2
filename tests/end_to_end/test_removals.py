"""Originals that are taken down while a worker, in a process of its own, renders them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, order, signed, started
from tests.thorough import in_ci
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REMOVALS = in_ci(20, otherwise=4)
JOB_SECONDS = 0.6
"""About what a job takes here; each removal falls within that time after the job was accepted."""

PURGE_SECONDS = 60.0
"""More than a purge waits for the locks of a worker that is stopped: 10 s for the queue, 10 s for the folder."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def front(any_queue: str, tmp_path: Path) -> Iterator[Service]:
    with started(Service(folder=tmp_path / "front", settings={"WORKERS": "0", "QUEUE": any_queue})) as one:
        yield one


@pytest.fixture
def worker(front: Service, any_queue: str, tmp_path: Path) -> Iterator[Service]:
    settings = {"QUEUE": any_queue, "STORE": f"file://{front.store}"}
    with started(Service(folder=tmp_path / "worker", settings=settings, command="worker")) as one:
        yield one


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    paint(tmp_path / "photo.jpg", Photograph(width=3000, height=2000, noise=4))
    return tmp_path / "photo.jpg"


def post(service: Service, key: str) -> str:
    body = order(key)
    answer = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body)).raise_for_status()
    return service.url + str(answer.headers["location"])


def take_down(service: Service, key: str) -> None:
    (service.store / key).unlink()
    purge(service, key).raise_for_status()


def purge(service: Service, key: str) -> httpx.Response:
    address = f"/v1/derivatives/{key}"
    headers = signed(f"DELETE {address}".encode())
    return httpx.delete(service.url + address, headers=headers, timeout=PURGE_SECONDS)


def attempted(job: str) -> None:
    """Return when an attempt at a job has ended."""

    async def has_ended() -> bool:
        async with httpx.AsyncClient() as client:
            told = (await client.get(job)).json()
        return bool(told["attempts"] > 0 and told["status"] != "processing")

    asyncio.run(until(has_ended))


def left(service: Service, folder: str) -> list[str]:
    return sorted(path.name for path in (service.store / folder).glob("*"))


def test_an_original_that_is_taken_down_in_the_middle_of_its_job_leaves_nothing_behind(
    front: Service, worker: Service, photo: Path, record_property: Callable[[str, object], None]
) -> None:
    moments = random.Random(time.time_ns())  # noqa: S311 - moments, no secret
    assert worker.process is not None
    log: list[float] = []
    for number in range(REMOVALS):
        key = f"gall/{number}/{number}_1_original.jpg"
        front.put(key, photo)
        job = post(front, key)
        log.append(moments.uniform(0, JOB_SECONDS))
        time.sleep(log[-1])  # the experiment itself
        take_down(front, key)
        attempted(job)
        assert left(front, f"gall/{number}") == [], log[-1]
    record_property("moments", log)


def test_a_worker_that_is_stopped_while_it_renders_and_thawed_later_leaves_nothing_behind(
    front: Service, worker: Service, photo: Path
) -> None:
    """A worker that is stopped within a write of the queue or the folder holds its lock; the caller then asks again."""
    moments = random.Random(time.time_ns())  # noqa: S311 - moments, no secret
    assert worker.process is not None
    for number in range(5):
        key = f"gall/{number}/{number}_1_original.jpg"
        front.put(key, photo)
        job = post(front, key)
        time.sleep(moments.uniform(0, JOB_SECONDS))  # the experiment itself
        os.kill(worker.process.pid, signal.SIGSTOP)
        try:
            (front.store / key).unlink()
            purged = purge(front, key)
        finally:
            os.kill(worker.process.pid, signal.SIGCONT)
        if purged.status_code in {502, 503}:
            assert "retry-after" in purged.headers, purged.text
            purged = purge(front, key)
        purged.raise_for_status()
        attempted(job)
        assert left(front, f"gall/{number}") == []
