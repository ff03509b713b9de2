"""`VERSIONED_REDIRECTS`: addresses of derivatives that end in the version of what they show."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import pytest

from loadtest.servers.receiver import receiving
from loadtest.servers.service import order
from loadtest.servers.service import signed as sign
from proxy.settings.sizes import SIZES_FILE, read_sizes
from tests.proxy.http.conftest import KEY, SECRET, Site, serving
from tests.proxy.http.routes.test_jobs import ended, post
from tests.waiting import until

if TYPE_CHECKING:
    from proxy.jobs.job import Job

pytestmark = pytest.mark.anyio

VIEW = f"/img/{KEY}/small"


async def location(site: Site, view: str = VIEW) -> str:
    return str((await site.client.get(view)).headers["location"])


async def rendered(site: Site, **options: object) -> Job:
    answer = await post(site, msgspec.json.encode({"key": KEY, **options}))
    return await ended(site, answer.headers["location"])


async def test_a_redirect_ends_in_the_version_wherever_the_derivative_was_found(tmp_path: Path) -> None:
    async with serving(tmp_path, versioned_redirects=True) as site:
        site.upload()
        made = await location(site)
        assert re.fullmatch(r"/files/gall/58/58_1_small\.jpg\?v=[0-9a-f]{12}", made)
        assert await location(site) == made
        answered = site.shortcut(b"GET", VIEW.encode(), [])
        assert answered is not None
        assert f"\r\nlocation: {made}\r\n".encode() in answered[0]
        assert (await site.client.get(made)).headers["content-type"] == "image/jpeg"
    async with serving(tmp_path, versioned_redirects=True) as site:
        assert await location(site) == made
    async with serving(tmp_path) as site:
        assert await location(site) == made.partition("?")[0]


async def test_the_version_changes_with_the_original_and_with_the_profile_only(tmp_path: Path) -> None:
    small = read_sizes(Path(SIZES_FILE))[:1]
    sharper = tuple(replace(size, quality=91) for size in small)
    async with serving(tmp_path, versioned_redirects=True, sizes=small) as site:
        site.upload()
        first = await location(site)
        await rendered(site, force=True)
        assert await location(site) == first
        site.upload(width=490)
        await rendered(site)
        second = await location(site)
    async with serving(tmp_path, versioned_redirects=True, sizes=sharper) as site:
        assert await location(site) == second  # what is stored has the profile of before
        await rendered(site)
        third = await location(site)
    assert len({first, second, third}) == 3
    assert {urlsplit(one).path for one in (first, second, third)} == {"/files/gall/58/58_1_small.jpg"}


async def test_the_address_of_an_original_changes_with_its_bytes(tmp_path: Path) -> None:
    async with serving(tmp_path, versioned_redirects=True) as site:
        site.upload()
        first = await location(site, f"/img/{KEY}/original")
        assert await location(site, f"/img/{KEY}/original") == first
        site.upload(width=490)
        second = await location(site, f"/img/{KEY}/original")
    assert first != second
    assert re.fullmatch(r"/files/gall/58/58_1_original\.jpg\?v=[0-9a-f]{12}", second)


async def test_jobs_callbacks_and_descriptions_have_the_addresses_of_the_redirects(tmp_path: Path) -> None:
    cdn = "https://cdn.example.org"
    with receiving(secret=SECRET) as receiver:
        async with serving(
            tmp_path, callback_hosts=receiver.listed, versioned_redirects=True, public_base_url=cdn
        ) as site:
            site.upload()
            body = order(KEY, callback_url=receiver.url)
            answer = await site.client.post("/v1/jobs", content=body, headers=sign(body, secret=SECRET))
            job = await ended(site, answer.headers["location"])

            async def taken() -> bool:
                return bool(receiver.taken())

            await until(taken)
            urls = {made.size: made.url for made in job.derivatives}
            assert urls == {size: await location(site, f"/img/{KEY}/{size}") for size in urls}
            assert all(re.search(r"\?v=[0-9a-f]{12}$", url) for url in urls.values())
            picture = (await site.client.get(f"/v1/images/{KEY}")).json()
            assert {made["size"]: made["url"] for made in picture["sizes"]} == urls
            assert picture["srcset"]["image/jpeg"].startswith(f"{urls['small']} 300w, ")
    (got,) = receiver.received
    assert {made["size"]: made["url"] for made in got.event.data["derivatives"]} == urls


async def test_an_address_has_no_version_while_none_is_asked_for(site: Site, key: str) -> None:
    site.upload(key)
    assert "?" not in await location(site, f"/img/{key}/small")
