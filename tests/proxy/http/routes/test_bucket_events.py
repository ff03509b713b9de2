"""`POST /v1/events/s3`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.http.routes.bucket_events import MAX_BODY_BYTES
from tests.proxy.http.conftest import Site, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

pytestmark = pytest.mark.anyio

PATH = "/v1/events/s3"
TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with serving(tmp_path_factory.mktemp("site"), events_token=TOKEN, events_remove=True, workers=0) as one:
        yield one


def event(key: str, change: str = "PutObject") -> bytes:
    return msgspec.json.encode({"action": change, "bucket": "any", "object": {"key": key}})


async def send(site: Site, body: bytes, path: str = PATH, **headers: str) -> httpx.Response:
    return await site.client.post(path, content=body, headers=headers)


async def test_an_event_of_a_new_original_becomes_a_job(site: Site, key: str) -> None:
    site.upload(key)
    answer = await send(site, event(key), **BEARER)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    (handled,) = answer.json()["events"]
    assert (handled["key"], handled["bucket"], handled["outcome"]) == (key, "any", "queued")
    job = (await site.client.get(f"/v1/jobs/{handled['job']}")).json()
    assert (job["key"], job["status"], job["callback"]) == (key, "queued", None)


async def test_an_event_of_a_removed_original_deletes_its_derivatives(site: Site, key: str) -> None:
    site.upload(key)
    await site.client.get(f"/img/{key}/small")
    (site.store / key).unlink()
    answer = await send(site, event(key, "DeleteObject"), **BEARER)
    assert [one["outcome"] for one in answer.json()["events"]] == ["purged"]
    assert not (site.store / key).parent.exists()
    assert (await site.client.get(f"/img/{key}/small")).status_code == 404


async def test_the_type_of_the_body_does_not_matter(site: Site) -> None:
    answer = await send(site, event("a_small.jpg"), **BEARER, **{"Content-Type": "text/plain; charset=UTF-8"})
    assert [one["outcome"] for one in answer.json()["events"]] == ["own"]
    assert "job" not in answer.json()["events"][0]


async def test_the_token_may_be_in_the_query_or_a_password(site: Site) -> None:
    assert (await send(site, event("x"), f"{PATH}?token={TOKEN}")).status_code == 200
    assert (await site.client.post(PATH, content=event("x"), auth=("events", TOKEN))).status_code == 200


async def test_without_the_token_nothing_is_read(site: Site, key: str) -> None:
    site.upload(key)
    for path, headers in ((PATH, {}), (f"{PATH}?token=x", {}), (PATH, {"Authorization": "Bearer x"})):
        answer = await send(site, b"not even JSON", path, **headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/bad-token")
        assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"Records": 1}'])
async def test_what_is_no_event_is_refused_with_the_forms_that_are_read(site: Site, body: bytes) -> None:
    answer = await send(site, body, **BEARER)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-event")
    assert "docs/events.md" in answer.json()["detail"]


async def test_a_body_that_is_too_large_is_refused(site: Site) -> None:
    answer = await send(site, bytes(MAX_BODY_BYTES + 1), **BEARER)
    assert (answer.status_code, "256 KiB" in answer.json()["detail"]) == (413, True)


async def test_other_parameters_are_refused(site: Site) -> None:
    answer = await send(site, event("x"), f"{PATH}?token={TOKEN}&tokn=1", **BEARER)
    assert (answer.status_code, answer.json()["errors"]) == (
        400,
        ["tokn: unknown parameter; did you mean token? This route has the parameters token."],
    )


async def test_a_full_queue_asks_the_sender_to_come_again(site: Site) -> None:
    keys = [f"gall/full/{number}_original.jpg" for number in range(80)]
    for key in keys:
        site.upload(key)
    answer = await send(site, b"[" + b",".join(map(event, keys)) + b"]", **BEARER)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")
    assert int(answer.headers["retry-after"]) > 0


async def test_without_the_setting_the_route_says_what_to_set(own_site: Site) -> None:
    answer = await send(own_site, event("x"), **BEARER)
    assert (answer.status_code, "EVENTS_TOKEN" in answer.json()["detail"]) == (404, True)
