"""`GET /v1/images/<key>`: what a page needs to know of one picture."""

from __future__ import annotations

import asyncio
import io
from base64 import b64decode
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from tests.proxy.http.conftest import Site, serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

FIELDS = ["key", "width", "height", "format", "animated", "color", "placeholder", "sizes", "srcset"]


async def test_a_picture_is_rendered_first_and_described(site: Site, key: str) -> None:
    site.upload(key, width=1000, height=750)
    answer = await site.client.get(f"/v1/images/{key}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.headers["access-control-allow-origin"] == "*"
    picture = answer.json()
    assert [*picture] == FIELDS
    assert [picture[name] for name in FIELDS[:5]] == [key, 1000, 750, "jpeg", False]
    assert picture["color"].startswith("#")
    lqip = picture["placeholder"]["lqip"]
    with PIL.Image.open(io.BytesIO(b64decode(lqip.partition(",")[2]))) as tiny:
        assert (tiny.format, tiny.size) == ("WEBP", (32, 24))
    assert len(lqip) <= 400
    assert 5 <= len(b64decode(picture["placeholder"]["thumbhash"], validate=True)) <= 25
    sizes = {one["size"]: one for one in picture["sizes"]}
    assert [*sizes] == ["small", "medium", "large", "xlarge"]
    assert [one["width"] for one in picture["sizes"]] == [300, 800, 1000, 1000]
    for one in picture["sizes"]:
        file = await site.client.get(one["url"])
        assert (len(file.content), file.headers["content-type"]) == (one["bytes"], one["content_type"])
        with PIL.Image.open(io.BytesIO(file.content)) as shown:
            assert shown.size == (one["width"], one["height"])
    offered = [f"{sizes[size]['url']} {sizes[size]['width']}w" for size in ("small", "medium", "large")]
    assert picture["srcset"] == {"image/jpeg": ", ".join(offered)}


async def test_head_says_what_get_says_and_a_known_etag_is_not_modified(site: Site, key: str) -> None:
    site.upload(key)
    get = await site.client.get(f"/v1/images/{key}")
    head = await site.client.head(f"/v1/images/{key}")
    moving = {"x-request-id"}
    assert {**head.headers, **dict.fromkeys(moving, "")} == {**get.headers, **dict.fromkeys(moving, "")}
    assert head.content == b""
    again = await site.client.get(f"/v1/images/{key}", headers={"if-none-match": f'"old", W/{get.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", get.headers["etag"])


async def test_errors_are_problems_that_any_page_may_read(site: Site, key: str) -> None:
    for path, status, code in (
        (f"/v1/images/{key}", 404, "not-found"),
        (f"/v1/images/{key}?size=small", 400, "bad-request"),
        ("/v1/images/no/original.jpg", 400, "bad-key"),
        ("/v1/images/%zz", 400, "bad-key"),
    ):
        answer = await site.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["type"] == f"/problems/{code}"
        assert answer.headers["access-control-allow-origin"] == "*"
    broken = key.replace("_1_", "_2_")
    site.upload(broken)
    (site.store / broken).write_bytes(b"no picture")
    assert (await site.client.get(f"/v1/images/{broken}")).status_code == 422
    refused = await site.client.post(f"/v1/images/{key}")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, DELETE")


async def test_with_a_list_of_origins_only_pages_of_these_may_read_it(tmp_path: Path) -> None:
    async with serving(tmp_path, cors_origins="https://gallformers.org") as site:
        site.upload()
        path = "/v1/images/gall/58/58_1_original.jpg"
        own = await site.client.get(path, headers={"origin": "https://gallformers.org"})
        assert own.headers.get_list("access-control-allow-origin") == ["https://gallformers.org"]
        other = await site.client.get(path, headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        assert [value.lower() for value in own.headers.get_list("vary")] == ["origin"]
        assert other.headers.get_list("vary") == ["origin"]


async def test_a_crowd_is_told_the_same_and_a_page_view_finds_its_size(site: Site, key: str) -> None:
    site.upload(key)
    calls = [site.client.get(f"/v1/images/{key}") for _ in range(20)]
    view, *answers = await asyncio.gather(site.client.get(f"/img/{key}/large"), *calls)
    assert view.status_code == 302
    assert len({answer.content for answer in answers}) == 1
    assert view.headers["location"] in [one["url"] for one in answers[0].json()["sizes"]]
