"""`DELETE /v1/derivatives/<key>`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from loadtest.servers.service import signed as sign
from tests.proxy.http.conftest import KEY, SECRET, Site

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.anyio

SIZES = ("small", "medium", "large", "xlarge")


async def purge(site: Site, path: str) -> httpx.Response:
    address = f"/v1/derivatives/{path}"
    return await site.client.delete(address, headers=sign(f"DELETE {address}".encode(), secret=SECRET))


async def test_a_purge_removes_what_was_made_and_leaves_the_original(site: Site, key: str) -> None:
    site.upload(key)
    await site.client.get(f"/img/{key}/small")
    keys = [key.replace("original", size) for size in SIZES]
    for existed in (keys, []):
        answer = await purge(site, key)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.json() == {"key": key, "deleted": keys, "existed": existed}
        assert [*(site.store / key).parent.iterdir()] == [site.store / key]


async def test_the_next_page_view_makes_them_again(site: Site, key: str) -> None:
    site.upload(key, width=400)
    location = (await site.client.get(f"/img/{key}/small")).headers["location"]
    before = (await site.client.get(location)).content
    site.upload(key, width=200)
    await purge(site, key)
    await site.client.get(f"/img/{key}/small")
    assert (await site.client.get(location)).content != before


@pytest.mark.parametrize(
    "key", ["a b/c+d_original.jpg", "percent%2Fin_original.jpg", "虫こぶ_original.jpg", "q?#_original.jpg"]
)
async def test_the_key_is_decoded_exactly_once(site: Site, key: str) -> None:
    site.upload(key)
    await site.client.get(f"/img/{quote(key)}/small")
    small = site.store / key.replace("original", "small")
    assert small.exists()
    assert (await purge(site, quote(key))).json()["key"] == key
    assert not small.exists()
    assert (site.store / key).exists()


@pytest.mark.parametrize(
    "path", ["gall/58/58_1_small.jpg", "..%2Fa_original.jpg", "%00_original.jpg", "", "%zz_original.jpg"]
)
async def test_what_is_no_originals_key_is_refused(site: Site, path: str) -> None:
    answer = await purge(site, path)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-key")
    assert answer.headers["cache-control"] == "no-store"


async def test_only_deleting_is_allowed(site: Site) -> None:
    answer = await site.client.get(f"/v1/derivatives/{KEY}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE")
