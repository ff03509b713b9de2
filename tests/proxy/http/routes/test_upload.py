"""`POST /v1/uploads`, and the uploads to its URLs."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from loadtest.servers.service import signed as sign
from pipeline.formats.registry import READABLE
from tests.proxy.http.conftest import SECRET, Site, painted, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.anyio

NUMBERS = count()

ORIGIN = "https://www.gallformers.test"

PNG = b"\x89PNG\r\n\x1a\n" + bytes(600)


async def order(site: Site, key: str, **fields: object) -> httpx.Response:
    body = json.dumps({"key": key, **fields}).encode()
    return await site.client.post("/v1/uploads", content=body, headers=sign(body, secret=SECRET))


async def url_for(site: Site, key: str, **fields: object) -> str:
    answer = await order(site, key, **fields)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["upload_url"])


def problem(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert body["detail"].endswith(".")
    return answer.status_code, body["type"].removeprefix("/problems/")


def stored(site: Site, key: str) -> bytes | None:
    path = site.store / key
    return path.read_bytes() if path.exists() else None


@pytest.fixture(scope="module")
async def small_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A service that takes uploads of 1 MiB, and lets one site's pages send them."""
    folder = tmp_path_factory.mktemp("small-site")
    async with serving(folder, max_upload_mb=1, cors_origins=ORIGIN) as one:
        yield one


async def pieces(body: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def test_its_url_is_a_path_unless_the_origin_of_the_service_is_known(
    site: Site, key: str, tmp_path: Path
) -> None:
    assert (await url_for(site, key)).startswith("/v1/uploads/")
    async with serving(tmp_path, public_origin="https://images.test", base_path="/below") as known:
        assert (await url_for(known, key)).startswith("https://images.test/below/v1/uploads/")


async def test_an_upload_is_stored_and_its_job_renders_it(site: Site, key: str) -> None:
    answer = await order(site, key, sizes=["small"])
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.json().keys() == {"upload_url", "key", "expires_at"}
    body = painted(480, 360)
    done = await site.client.put(answer.json()["upload_url"], content=pieces(body))
    job = done.json()
    assert (done.status_code, done.headers["location"]) == (201, f"/v1/jobs/{job['id']}")
    assert (job["key"], job["status"]) == (key, "queued")
    assert stored(site, key) == body
    assert (await site.client.get(f"/v1/jobs/{job['id']}")).status_code == 200
    assert (await site.client.get(f"/img/{key}/small")).status_code == 302


async def test_an_order_needs_a_signature(site: Site, key: str) -> None:
    body = json.dumps({"key": key}).encode()
    assert problem(await site.client.post("/v1/uploads", content=body)) == (401, "bad-signature")


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"key": "../secret_original.jpg"}, 400, "bad-key"),
        ({"key": "gall/../../secret_original.jpg"}, 400, "bad-key"),
        ({"key": "/etc/passwd_original.jpg"}, 400, "bad-key"),
        ({"key": "gall//1_original.jpg"}, 400, "bad-key"),
        ({"key": "gall/\x001_original.jpg"}, 400, "bad-key"),
        ({"key": "gall/1/1_1_small.jpg"}, 400, "bad-key"),
        ({"key": "gallformers-images/write-probe"}, 400, "bad-key"),
        ({"sizes": ["huge"]}, 422, "unknown-size"),
        ({"callback_url": "https://unlisted.test/"}, 422, "bad-callback"),
        ({"bytes": 31 << 20}, 413, "too-many-bytes"),
        ({"bytes": 0}, 400, "bad-request"),
        ({"content_type": "image/svg+xml"}, 400, "bad-request"),
        ({"replace": "yes"}, 400, "bad-request"),
        ({"url": "https://elsewhere.test"}, 400, "bad-request"),
    ],
)
async def test_a_bad_order_gets_no_url(site: Site, key: str, fields: dict[str, Any], status: int, kind: str) -> None:
    assert problem(await order(site, **{"key": key, **fields})) == (status, kind)


async def test_a_url_is_used_once(site: Site, key: str) -> None:
    address = await url_for(site, key, replace=True)
    job = (await site.client.put(address, content=painted(480, 360))).json()
    again = await site.client.put(address, content=painted(48, 36))
    assert problem(again) == (410, "upload-url-ended")
    assert f"/v1/jobs/{job['id']}" in again.json()["detail"]
    assert stored(site, key) == painted(480, 360)


async def test_an_order_that_is_sent_again_is_used_once_as_well(site: Site, key: str) -> None:
    body = json.dumps({"key": key, "replace": True}).encode()
    headers = sign(body, secret=SECRET)
    first, second = [
        (await site.client.post("/v1/uploads", content=body, headers=headers)).json()["upload_url"] for _ in range(2)
    ]
    assert (await site.client.put(first, content=painted(480, 360))).status_code == 201
    assert problem(await site.client.put(second, content=painted(48, 36))) == (410, "upload-url-ended")


async def test_an_original_that_exists_is_kept_unless_the_order_replaces_it(site: Site, key: str) -> None:
    site.upload(key)
    answer = await site.client.put(await url_for(site, key), content=painted(48, 36))
    assert problem(answer) == (409, "original-exists")
    assert stored(site, key) == painted(480, 360)
    answer = await site.client.put(await url_for(site, key, replace=True), content=painted(48, 36))
    assert answer.status_code == 201
    assert stored(site, key) == painted(48, 36)


async def test_an_original_that_comes_into_being_meanwhile_is_kept(site: Site, key: str) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield painted(48, 36)
        site.upload(key)

    assert problem(await site.client.put(await url_for(site, key), content=slow())) == (409, "original-exists")
    assert stored(site, key) == painted(480, 360)


@pytest.mark.parametrize(
    ("body", "fields", "refusal"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", {}, (422, "unsupported-format")),
        (b"%PDF-1.7" + bytes(2000), {}, (422, "unsupported-format")),
        (b"GIF8", {}, (422, "not-an-image")),
        (b"", {}, (422, "not-an-image")),
        (PNG, {"content_type": "image/jpeg"}, (422, "unfit-upload")),
        (PNG, {"bytes": len(PNG) + 1}, (422, "unfit-upload")),
        (PNG, {"bytes": len(PNG) - 1}, (422, "unfit-upload")),
        (PNG + bytes(1 << 20), {}, (413, "too-many-bytes")),
    ],
)
@pytest.mark.parametrize("is_announced", [True, False])
async def test_what_is_not_to_be_uploaded_leaves_nothing_and_its_url_can_be_used_again(
    small_site: Site, key: str, body: bytes, fields: dict[str, Any], refusal: tuple[int, str], *, is_announced: bool
) -> None:
    address = await url_for(small_site, key, **fields)
    answer = await small_site.client.put(address, content=body if is_announced else pieces(body))
    assert problem(answer) == refusal
    assert stored(small_site, key) is None
    if not fields:
        assert (await small_site.client.put(address, content=PNG)).status_code == 201


async def test_the_type_is_known_before_the_rest_is_read(site: Site, key: str) -> None:
    read = []

    async def endless() -> AsyncIterator[bytes]:
        for number in count():
            read.append(number)
            yield b"%PDF-" + bytes(1000)

    assert problem(await site.client.put(await url_for(site, key), content=endless()))[0] == 422
    assert len(read) < 10


async def test_a_part_of_a_file_is_refused(site: Site, key: str) -> None:
    headers = {"content-range": "bytes 0-9/100"}
    answer = await site.client.put(await url_for(site, key), content=PNG, headers=headers)
    assert problem(answer) == (422, "unfit-upload")


@pytest.mark.parametrize("token", ["a.b", "%2e%2e%2fsecret", "a", "%00", "a%2Fb.c"])
async def test_a_forged_url_is_refused(site: Site, token: str) -> None:
    answer = await site.client.put(f"/v1/uploads/{token}", content=PNG)
    assert answer.status_code in (403, 404)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_second_upload_to_a_url_waits_for_the_end_of_the_first(site: Site, key: str) -> None:
    address = await url_for(site, key)
    others: list[tuple[int, str]] = []

    async def slow() -> AsyncIterator[bytes]:
        yield PNG
        others.append(problem(await site.client.put(address, content=PNG)))

    assert (await site.client.put(address, content=slow())).status_code == 201
    assert others == [(409, "upload-under-way")]


async def test_pages_of_allowed_origins_may_upload_and_read_what_went_wrong(small_site: Site, key: str) -> None:
    address, client = await url_for(small_site, key), small_site.client
    asks = {"access-control-request-method": "PUT", "access-control-request-headers": "content-type"}
    preflight = await client.options(address, headers={"origin": ORIGIN, **asks})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "content-type" in preflight.headers["access-control-allow-headers"].lower()
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    for body, status in ((b"no image", 422), (PNG, 201)):
        answer = await client.put(address, content=body, headers={"origin": ORIGIN})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, ORIGIN)
    assert (await client.options(address, headers={"origin": "https://other.test", **asks})).status_code == 400


async def test_the_log_has_no_upload_url(site: Site, key: str) -> None:
    with capture_logs() as logged:
        address = await url_for(site, key)
        await site.client.put(address, content=PNG)
    assert {"request", "upload_stored"} <= {line["event"] for line in logged}
    assert not [line for line in logged if address in str(line)]


async def test_every_format_of_originals_can_be_ordered(site: Site, key: str) -> None:
    for readable in READABLE.values():
        assert (await order(site, key, content_type=readable.content_type)).status_code == 201
