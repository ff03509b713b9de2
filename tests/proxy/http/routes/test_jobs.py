"""`/v1/jobs`: posting, reading, listing and replaying jobs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from loadtest.servers.service import signed as sign
from proxy.http.routes.jobs import JobList
from proxy.jobs.job import Job
from tests.proxy.http.conftest import KEY, SECRET, Site, serving
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.anyio


async def post(site: Site, body: bytes, **headers: str) -> httpx.Response:
    return await site.client.post("/v1/jobs", content=body, headers=sign(body, secret=SECRET) | headers)


async def ended(site: Site, location: str) -> Job:
    async def look() -> Job | None:
        job = msgspec.json.decode((await site.client.get(location)).content, type=Job)
        return job if job.status in {"done", "error"} else None

    return await until(look)


async def test_a_signed_order_is_taken_and_its_job_ends_with_every_size(site: Site, key: str) -> None:
    site.upload(key, width=2400, height=1800)
    answer = await post(site, msgspec.json.encode({"key": key}))
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    job = await ended(site, answer.headers["location"])
    assert (job.status, job.error, job.key) == ("done", None, key)
    assert [(made.size, made.width, made.height, made.content_type) for made in job.derivatives] == [
        ("small", 300, 225, "image/jpeg"),
        ("medium", 800, 600, "image/jpeg"),
        ("large", 1200, 900, "image/jpeg"),
        ("xlarge", 2000, 1500, "image/jpeg"),
    ]
    for made in job.derivatives:
        file = await site.client.get(made.url)
        assert len(file.content) == made.bytes


async def test_times_are_told_in_rfc_3339(site: Site, key: str) -> None:
    site.upload(key)
    answer = await post(site, msgspec.json.encode({"key": key}))
    await ended(site, answer.headers["location"])
    job = (await site.client.get(answer.headers["location"])).json()
    assert all(datetime.fromisoformat(job[name]).tzinfo for name in ("created_at", "started_at", "finished_at"))


async def test_the_same_webhook_delivered_five_times_is_one_job(site: Site, key: str) -> None:
    body = msgspec.json.encode({"key": key})
    headers = sign(body, secret=SECRET, message_id="msg_1")
    answers = [await site.client.post("/v1/jobs", content=body, headers=headers) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_every_fault_of_an_order_is_named(site: Site) -> None:
    answer = await post(site, b'{"sizes": "small", "force": 1, "color": "red"}')
    assert answer.status_code == 400
    assert {fault.partition(":")[0] for fault in answer.json()["errors"]} == {"key", "sizes", "force", "color"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"key": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400),
        (b"\xff", 401),
        (b'{"key": "no-original.jpg"}', 400),
        (b'{"key": "a_original.jpg", "sizes": ["huge"]}', 422),
        (b'{"key": "' + b"a" * 70_000 + b'_original.jpg"}', 413),
    ],
)
async def test_what_is_no_order_is_refused(site: Site, body: bytes, status: int) -> None:
    headers = sign(body if status != 401 else b"", secret=SECRET)
    answer = await site.client.post("/v1/jobs", content=body, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


async def test_a_full_queue_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path, queue_size=1, workers=1) as site:
        answers = [await post(site, msgspec.json.encode({"key": f"{n}_original.jpg"})) for n in range(10)]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)


async def test_a_job_that_failed_says_why_and_can_be_run_again(site: Site, key: str) -> None:
    path = site.store / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is not a picture")
    answer = await post(site, msgspec.json.encode({"key": key}))
    job = await ended(site, answer.headers["location"])
    assert job.status == "error"
    assert job.error is not None
    assert job.error.code == "not-an-image"
    site.upload(key)
    replay = f"{answer.headers['location']}/replay"
    assert (await site.client.post(replay)).status_code == 401
    again = await site.client.post(replay, headers=sign(f"POST {replay}".encode(), secret=SECRET))
    assert again.status_code == 202
    assert (await ended(site, answer.headers["location"])).status == "done"


async def test_a_job_that_waits_for_a_retry_is_returned_to_whoever_knows_its_id(site: Site, key: str) -> None:
    answer = await post(site, msgspec.json.encode({"key": key, "sizes": ["small", "large"]}))

    async def scheduled() -> dict[str, object] | None:
        job: dict[str, object] = (await site.client.get(answer.headers["location"])).json()
        return job if job["retry"] else None

    job = await until(scheduled)
    assert (job["status"], job["error"]) == ("queued", None)
    assert job["sizes"] == [{"size": "small", "status": "waiting"}, {"size": "large", "status": "waiting"}]
    assert isinstance(job["retry"], dict)
    assert set(job["retry"]) == {"at", "code", "detail"}


@pytest.mark.parametrize("job_id", ["0123", "0" * 32, "%00", "%ff", "A" * 32, "%20" + "0" * 32, "0" * 33, "é"])
async def test_an_unknown_job_is_not_found(site: Site, job_id: str) -> None:
    answer = await site.client.get(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-job")
    assert "7 days" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "doubled"),
    [
        (b'{"key": 5, "key": "a_original.jpg"}', ["key"]),
        (b'{"key": "a_original.jpg", "key": 5}', ["key", "key"]),
        (b'{"key": "a_original.jpg", "\\u006bey": "b_original.jpg"}', ["key"]),
        (b'{"key": "a_original.jpg", "force": true, "force": true, "sizes": [], "sizes": []}', ["force", "sizes"]),
    ],
)
async def test_a_name_that_is_there_twice_is_a_fault(site: Site, body: bytes, doubled: list[str]) -> None:
    answer = await post(site, body)
    assert answer.status_code == 400
    assert [fault.partition(":")[0] for fault in answer.json()["errors"]] == doubled


async def test_a_number_of_any_length_is_a_fault_like_another(site: Site) -> None:
    assert (await post(site, b'{"key": ' + b"1" * 5000 + b"}")).status_code == 400


async def ask(site: Site, address: str) -> httpx.Response:
    return await site.client.get(address, headers=sign(f"GET {address}".encode(), secret=SECRET))


async def test_operators_turn_the_pages_of_all_jobs(own_site: Site) -> None:
    for number in range(5):
        await post(own_site, msgspec.json.encode({"key": f"{number}_original.jpg"}))
    address, keys = "/v1/jobs?limit=2", []
    while address:
        answer = await ask(own_site, address)
        page = msgspec.json.decode(answer.content, type=JobList)
        assert (answer.status_code, answer.headers["cache-control"], page.complete) == (200, "no-store", True)
        keys += [job.key for job in page.jobs]
        address = page.next or ""
    assert sorted(keys) == [f"{number}_original.jpg" for number in range(5)]
    assert len(keys) == 5
    assert (await ask(own_site, "/v1/jobs?status=done")).json() == {"jobs": [], "next": None, "complete": True}


@pytest.mark.parametrize(
    "address",
    ["/v1/jobs?status=lost", "/v1/jobs?limit=0", "/v1/jobs?limit=101", "/v1/jobs?limit=x", "/v1/jobs?cursor="],
)
async def test_a_page_that_cannot_be_is_refused_with_what_is_wrong(site: Site, address: str) -> None:
    answer = await ask(site, address)
    said = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert address.partition("?")[2].partition("=")[0] in f"{said['detail']} {said.get('errors')}"


async def test_a_post_has_page_views_look_again_where_no_job_is_worked(tmp_path: Path) -> None:
    async with serving(tmp_path, workers=0) as site:
        assert (await site.client.get(f"/img/{KEY}/small")).status_code == 404
        site.upload()
        assert (await site.client.get(f"/img/{KEY}/small")).status_code == 404  # the cached 404, for half a minute
        assert (await post(site, msgspec.json.encode({"key": KEY}))).status_code == 202
        assert (await site.client.get(f"/img/{KEY}/small")).status_code == 302
