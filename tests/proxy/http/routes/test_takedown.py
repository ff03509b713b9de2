"""`DELETE /v1/images/<key>`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from loadtest.servers.service import order
from loadtest.servers.service import signed as sign
from tests.proxy.http.conftest import SECRET, Site, serving
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A service that remembers no files, so that a takedown need not wait for other processes."""
    async with serving(tmp_path_factory.mktemp("site"), stream_cache_mb=0, callback_hosts="hooks.example.org") as one:
        yield one


async def take_down(site: Site, key: str, query: str = "", **how: Any) -> httpx.Response:
    address = f"/v1/images/{quote(key)}{query}"
    return await site.client.delete(address, headers=sign(f"DELETE {address}".encode(), secret=SECRET, **how))


async def ended(site: Site, location: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        job: dict[str, Any] = (await site.client.get(location)).json()
        return job if job["finished_at"] else None

    return await until(look)


async def test_a_takedown_removes_the_picture_for_good(site: Site, key: str) -> None:
    site.upload(key)
    body = order(key)
    posted = await site.client.post("/v1/jobs", content=body, headers=sign(body, secret=SECRET))
    await ended(site, posted.headers["location"])
    assert (await site.client.get(f"/img/{key}/small")).status_code == 302
    answer = await take_down(site, key)
    assert (answer.status_code, answer.headers["cache-control"]) == (202, "no-store")
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    job = await ended(site, answer.headers["location"])
    assert (job["status"], job["key"], job["sizes"], job["picture"]) == ("done", key, [], None)
    sizes = ("original", "small", "medium", "large", "xlarge")
    assert {one["key"] for one in job["takedown"]["removed"]} == {key.replace("original", size) for size in sizes}
    assert not (site.store / key).parent.exists()
    for path in (f"/img/{key}/small", f"/img/{key}/original", f"/v1/images/{key}", f"/files/{key}"):
        assert (await site.client.get(path)).status_code == 404, path


async def test_the_same_message_takes_down_once(site: Site, key: str) -> None:
    site.upload(key)
    first = await take_down(site, key, message_id="msg_twice")
    await ended(site, first.headers["location"])
    site.upload(key)
    again = await take_down(site, key, message_id="msg_twice")
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert (site.store / key).exists()


async def test_a_later_post_publishes_it_again_and_an_earlier_one_does_not(site: Site, key: str) -> None:
    site.upload(key)
    await ended(site, (await take_down(site, key)).headers["location"])
    site.upload(key)
    body = order(key)
    early = sign(body, secret=SECRET)
    early |= sign(body, secret=SECRET, now=datetime.now(tz=UTC) - timedelta(seconds=60))
    answer = await site.client.post("/v1/jobs", content=body, headers=early)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/taken-down")
    assert (await site.client.get(f"/img/{key}/small")).status_code == 404
    late = sign(body, secret=SECRET, now=datetime.now(tz=UTC) + timedelta(seconds=60))
    answer = await site.client.post("/v1/jobs", content=body, headers=late)
    assert (await ended(site, answer.headers["location"]))["status"] == "done"
    assert (await site.client.get(f"/img/{key}/small")).status_code == 302


async def test_it_has_to_be_signed_with_its_query(site: Site, key: str) -> None:
    address = f"/v1/images/{key}"
    headers = sign(f"DELETE {address}".encode(), secret=SECRET)
    for path, sent in ((address, {}), (f"{address}?callback_url=https://hooks.example.org/", headers)):
        answer = await site.client.delete(path, headers=sent)
        assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (401, None)


async def test_the_receipt_goes_to_a_host_that_is_listed(site: Site, key: str) -> None:
    answer = await take_down(site, key, "?callback_url=https://hooks.example.org/receipt")
    assert answer.json()["callback"]["host"] == "hooks.example.org"
    answer = await take_down(site, key, "?callback_url=https://example.com/")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bad-callback")


async def test_other_parameters_are_refused(site: Site, key: str) -> None:
    for query in ("?callback=x", "?callback_url=a&callback_url=b"):
        assert (await take_down(site, key, query)).status_code == 400
    assert (await site.client.get(f"/v1/images/{key}?callback_url=a")).status_code == 400


async def test_a_key_that_is_no_originals_is_refused(site: Site) -> None:
    assert (await take_down(site, "gall/1/1_1_small.jpg")).status_code == 400
