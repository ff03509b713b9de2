"""The log alone explains a job that failed."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from loadtest import demo
from loadtest.paint import Photograph, paint
from loadtest.servers.receiver import receiving
from loadtest.servers.service import Service, order, running, signed
from tests.end_to_end.logged import enqueue_nonsense, lines, post
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Told(NamedTuple):
    """What the log alone says of a job that failed."""

    key: object
    attempts: object
    cause: object


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), WORKERS="1") as one:
        yield one


def explained(service: Service, job_id: str) -> Told:
    """Find out from the log alone why a job failed."""
    story = [line for line in lines(service) if line.get("job_id") == job_id]
    assert {line["key"] for line in story} == {story[0]["key"]}
    (end,) = [line for line in story if line["event"] == "job_failed"]
    begins = [line["attempt"] for line in story if line["event"] == "job_started"]
    assert end["attempt"] == begins[-1] == len(begins)
    assert end["detail"]
    return Told(key=end["key"], attempts=end["attempt"], cause=end["code"])


def test_a_job_whose_original_is_no_picture_is_explained(service: Service) -> None:
    key = "gall/text_original.jpg"
    service.put(key, Path(__file__))
    job_id = post(service, key)
    assert demo.ended(service, f"/v1/jobs/{job_id}").status == "error"
    assert explained(service, job_id) == Told(key=key, attempts=1, cause="not-an-image")


def test_a_job_under_which_its_render_process_died_each_time_is_explained(service: Service, tmp_path: Path) -> None:
    async def is_over() -> bool:
        service.kill_children()
        async with httpx.AsyncClient(base_url=service.url) as client:
            return bool((await client.get(f"/v1/jobs/{job_id}")).json()["status"] == "error")

    paint(tmp_path / "large.jpg", Photograph(width=4000, height=3000))
    key = "gall/large_original.jpg"
    service.put(key, tmp_path / "large.jpg")
    job_id = post(service, key)
    asyncio.run(until(is_over))
    assert explained(service, job_id) == Told(key=key, attempts=2, cause="died-again")


def test_a_job_that_no_worker_can_read_is_explained_by_one_line_without_a_trace(service: Service) -> None:
    job_id = asyncio.run(enqueue_nonsense(service))
    (line,) = [line for line in lines(service) if line.get("job_id") == job_id]
    assert (line["event"], line["level"], line["queue"]) == ("job_set_aside", "error", "derivatives")
    assert "sizes" in str(line["detail"])
    assert "exception" not in line


def test_who_goes_before_all_of_an_order_is_sent_is_no_failure_of_the_service(service: Service) -> None:
    def is_it(line: dict[str, object]) -> bool:
        return line["event"] == "request" and line.get("request_id") == "gone"

    async def is_told() -> bool:
        return any(map(is_it, lines(service)))

    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nX-Request-Id: gone\r\nContent-Length: 9\r\n\r\n{")
    asyncio.run(until(is_told))
    (line,) = filter(is_it, lines(service))
    assert (line["status"], line["level"]) == (400, "info")


def test_every_line_of_a_job_names_it_its_original_and_the_post_that_ordered_it(tmp_path: Path) -> None:
    paint(tmp_path / "photo.jpg", Photograph(width=400, height=300))
    with receiving(statuses=(500,)) as receiver, running(tmp_path, CALLBACK_HOSTS=receiver.listed) as service:
        service.put("gall/1_original.jpg", tmp_path / "photo.jpg")
        body = order("gall/1_original.jpg", callback_url=receiver.url)
        headers = {**signed(body), "x-request-id": "trace-1"}
        job_id = httpx.post(f"{service.url}/v1/jobs", content=body, headers=headers).json()["id"]
        assert receiver.wait_for({job_id}, seconds=60)
    about = [line for line in lines(service) if "job" in str(line["event"]) or "callback" in str(line["event"])]
    assert [line["event"] for line in about] == [
        "job_queued",
        "job_started",
        "job_done",
        "callback_retry_scheduled",
        "callback_delivered",
    ]
    assert {(line["job_id"], line["key"]) for line in about} == {(job_id, "gall/1_original.jpg")}
    assert {line["request_id"] for line in about if "job_" in str(line["event"])} == {"trace-1"}
    assert [line.get("attempt") for line in about] == [None, 1, 1, 1, 2]
