"""Routes for operators: filters, unknown parameters, cancel, replay of many, pause and resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from loadtest.servers.service import order
from loadtest.servers.service import signed as sign
from proxy.http.routes.jobs import JobList
from proxy.http.routes.operations import QueueState
from proxy.jobs.job import Job
from tests.proxy.http.conftest import KEY, SECRET, Site, serving
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.anyio


async def ask(site: Site, method: str, address: str) -> httpx.Response:
    return await site.client.request(method, address, headers=sign(f"{method} {address}".encode(), secret=SECRET))


async def post(site: Site, key: str) -> str:
    body = order(key)
    answer = await site.client.post("/v1/jobs", content=body, headers=sign(body, secret=SECRET))
    assert answer.status_code == 202
    return str(answer.json()["id"])


async def job(site: Site, job_id: str) -> Job:
    return msgspec.json.decode((await site.client.get(f"/v1/jobs/{job_id}")).content, type=Job)


async def ended(site: Site, job_id: str) -> Job:
    async def look() -> Job | None:
        seen = await job(site, job_id)
        return seen if seen.finished_at else None

    return await until(look)


@pytest.mark.parametrize(
    ("method", "address", "said"),
    [
        ("GET", "/v1/jobs?statsu=error", ["statsu", "did you mean status?", "newer_than"]),
        ("GET", "/v1/jobs?status=error&status=done", ["status: must occur once, not 2 times"]),
        ("GET", "/v1/jobs?a=1&b=", ["a: unknown", "b: unknown"]),
        ("GET", f"/v1/jobs?{'x' * 200}=1", ["x" * 64 + "…: unknown"]),
        ("GET", "/v1/jobs?%F0%9F%90%9D=1", ["unknown parameter"]),
        ("POST", "/v1/jobs?force=true", ["force: unknown parameter. This route has no parameters."]),
        ("GET", "/v1/jobs/0?verbose", ["verbose: unknown parameter"]),
        ("POST", "/v1/jobs/0/replay?now=1", ["now"]),
        ("POST", "/v1/jobs/0/cancel?now=1", ["now"]),
        ("POST", "/v1/jobs/replay?codes=not-found", ["codes", "did you mean code?"]),
        ("GET", "/v1/queue?a", ["a: unknown"]),
        ("POST", "/v1/queue/pause?until=9", ["until"]),
        ("POST", "/v1/queue/resume?until=9", ["until"]),
        ("DELETE", f"/v1/derivatives/{KEY}?dry_run=true", ["dry_run"]),
    ],
)
async def test_an_unknown_parameter_is_refused_and_named_with_the_nearest(
    site: Site, method: str, address: str, said: list[str]
) -> None:
    for answer in (await ask(site, method, address), await site.client.request(method, address)):
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
        assert all(part in " ".join(answer.json()["errors"]) for part in said), answer.text


async def test_jobs_are_listed_by_their_key_their_code_and_their_age(tmp_path: Path) -> None:
    async with serving(tmp_path, workers=0) as site:
        first, second = await post(site, "a b+c_original.jpg"), await post(site, KEY)

        async def listed(query: str) -> list[str]:
            answer = await ask(site, "GET", f"/v1/jobs?{query}")
            return [one.id for one in msgspec.json.decode(answer.content, type=JobList).jobs]

        assert await listed("key=a%20b%2Bc_original.jpg") == [first]
        assert await listed(f"key={KEY}&status=queued&newer_than=1h") == [second]
        assert await listed(f"key={KEY}&older_than=1h") == []
        assert await listed("code=not-found") == []


async def test_the_next_page_has_the_same_filters(tmp_path: Path) -> None:
    async with serving(tmp_path, workers=0) as site:
        keys = [f"{number}_original.jpg" for number in range(3)]
        for key in keys:
            await post(site, key)
        address, seen = "/v1/jobs?status=queued&newer_than=2h&limit=1", []
        while address:
            page = msgspec.json.decode((await ask(site, "GET", address)).content, type=JobList)
            seen += [one.key for one in page.jobs]
            address = page.next or ""
            assert not address or "newer_than=2h" in address
        assert sorted(seen) == keys


@pytest.mark.parametrize("query", ["older_than=2", "newer_than=2w", "older_than=-1h", "key=", "code=", "status=lost"])
async def test_a_filter_that_means_nothing_is_refused(site: Site, query: str) -> None:
    answer = await ask(site, "GET", f"/v1/jobs?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in f"{answer.json().get('errors')}"


async def test_a_cancelled_job_says_so_and_cannot_be_cancelled_when_it_is_done(site: Site, key: str) -> None:
    site.upload(key)
    done = await post(site, key)
    await ended(site, done)
    answer = await ask(site, "POST", f"/v1/jobs/{done}/cancel")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/job-ended")
    waits = await post(site, key.replace("_1_", "_2_"))  # there is no such original: it waits for a retry
    answer = await ask(site, "POST", f"/v1/jobs/{waits}/cancel")
    assert (answer.status_code, answer.json()["error"]["code"]) == (202, "cancelled")
    assert answer.headers["location"] == f"/v1/jobs/{waits}"
    assert [size.status for size in (await job(site, waits)).sizes] == ["error"] * 4


async def test_failed_jobs_of_one_code_are_run_again_with_one_request(own_site: Site) -> None:
    path = own_site.store / KEY
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is not a picture")
    failed = await post(own_site, KEY)
    await ended(own_site, failed)
    own_site.upload()
    none = await ask(own_site, "POST", "/v1/jobs/replay?code=corrupt")
    assert (none.status_code, none.json()) == (202, {"jobs": [], "next": None, "complete": True})
    answer = await ask(own_site, "POST", "/v1/jobs/replay?code=not-an-image&newer_than=1h")
    assert [one["id"] for one in answer.json()["jobs"]] == [failed]
    assert (await ended(own_site, failed)).status == "done"


async def test_a_paused_service_takes_jobs_runs_none_and_is_ready_and_says_so(own_site: Site) -> None:
    own_site.upload()
    paused = msgspec.json.decode((await ask(own_site, "POST", "/v1/queue/pause")).content, type=QueueState)
    assert (paused.paused_since is None, paused.waiting) == (False, 0)
    waits = await post(own_site, KEY)
    state = msgspec.json.decode((await ask(own_site, "GET", "/v1/queue")).content, type=QueueState)
    assert (state.paused_since, state.waiting) == (paused.paused_since, 1)

    async def ready() -> dict[str, object] | None:
        answer = await own_site.client.get("/readyz")
        assert answer.status_code == 200
        return answer.json() if "paused_since" in answer.json() else None

    await until(ready)  # a check that began before the pause may be shared
    assert (await own_site.client.get(f"/img/{KEY}/small")).status_code == 302
    assert (await job(own_site, waits)).status == "queued"
    resumed = msgspec.json.decode((await ask(own_site, "POST", "/v1/queue/resume")).content, type=QueueState)
    assert resumed.paused_since is None
    assert (await ended(own_site, waits)).status == "done"

    async def is_running() -> bool:
        return bool((await own_site.client.get("/readyz")).json() == {"status": "ok", "missing": []})

    await until(is_running)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "/v1/jobs/replay"),
        ("POST", f"/v1/jobs/{'0' * 32}/cancel"),
        ("GET", "/v1/queue"),
        ("POST", "/v1/queue/pause"),
        ("POST", "/v1/queue/resume"),
    ],
)
async def test_a_stranger_operates_nothing(site: Site, method: str, address: str) -> None:
    for headers in ({}, sign(b"", secret=SECRET), sign(f"{method} {address}x".encode(), secret=SECRET)):
        answer = await site.client.request(method, address, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/bad-signature")


async def test_a_message_that_was_recorded_does_not_pause_again(own_site: Site) -> None:
    seen = sign(b"POST /v1/queue/pause", secret=SECRET)
    await own_site.client.post("/v1/queue/pause", headers=seen)
    await ask(own_site, "POST", "/v1/queue/resume")
    again = await own_site.client.post("/v1/queue/pause", headers=seen)
    assert (again.status_code, again.json()["paused_since"]) == (200, None)
