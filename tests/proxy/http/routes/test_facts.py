"""`GET /v1/facts/<key>`: for signed requests only, and kept by no cache."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from loadtest.servers.service import signed as sign
from tests.proxy.http.conftest import KEY, SECRET, Site, serving

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.anyio


async def ask(site: Site, path: str, method: str = "GET") -> httpx.Response:
    address = f"/v1/facts/{path}"
    headers = sign(f"{method} {address}".encode(), secret=SECRET)
    return await site.client.request(method, address, headers=headers)


async def test_a_signed_request_gets_the_facts_and_no_cache_keeps_them(site: Site, key: str) -> None:
    site.upload(key)
    answer = await ask(site, key)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert (found["key"], found["format"], found["width"], found["height"]) == (key, "jpeg", 480, 360)
    assert found["camera"] == {"make": "Painted", "model": "Gall Camera"}
    assert (found["creator"], found["copyright"], found["place"]) == ("A. Painter", "Nobody at all", None)
    assert len(found["sha256"]) == 64
    head = await ask(site, key, "HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", answer.headers["content-length"])


@pytest.mark.parametrize("headers", [{}, {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}])
async def test_another_request_gets_nothing(site: Site, key: str, headers: dict[str, str]) -> None:
    site.upload(key)
    for path in (key, "missing_original.jpg"):
        answer = await site.client.get(f"/v1/facts/{path}", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/bad-signature")
        assert answer.headers["cache-control"] == "no-store"


async def test_a_signature_for_another_method_or_key_is_not_valid(site: Site, key: str) -> None:
    site.upload(key)
    for signed in (f"DELETE /v1/facts/{key}", f"GET /v1/derivatives/{key}", "GET /v1/facts/a_original.jpg"):
        headers = sign(signed.encode(), secret=SECRET)
        assert (await site.client.get(f"/v1/facts/{key}", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("gall/9/missing_original.jpg", 404, "not-found"),
        ("gall/58/58_1_small.jpg", 400, "bad-key"),
        ("..%2Fa_original.jpg", 400, "bad-key"),
        (f"{KEY}?size=small", 400, "bad-request"),
    ],
)
async def test_errors_are_problems_that_no_cache_keeps(site: Site, path: str, status: int, problem: str) -> None:
    answer = await ask(site, path)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}")
    assert answer.headers["cache-control"] == "no-store"


async def test_what_is_no_image_is_refused(site: Site, key: str) -> None:
    path = site.store / key
    path.parent.mkdir(parents=True)
    path.write_text("no image")
    answer = await ask(site, key)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-an-image")
    assert answer.headers["cache-control"] == "no-store"


async def test_the_key_is_decoded_exactly_once(site: Site) -> None:
    for key in ("a b/c+d_original.jpg", "percent%2Fin_original.jpg", "虫こぶ_original.jpg"):
        site.upload(key)
        assert (await ask(site, quote(key))).json()["key"] == key


async def test_only_reading_is_allowed(site: Site) -> None:
    answer = await ask(site, KEY, "DELETE")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_service_without_secrets_gives_none(tmp_path: Path) -> None:
    async with serving(tmp_path, webhook_secrets="") as site:
        site.upload()
        answer = await site.client.get(f"/v1/facts/{KEY}")
        assert answer.status_code == 401
        assert "WEBHOOK_SECRETS" in answer.json()["detail"]
