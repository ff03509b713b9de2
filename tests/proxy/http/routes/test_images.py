"""`GET /img/<key>/<size>`, and the files that its redirects point to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from prometheus_client import REGISTRY

from tests.proxy.http.conftest import KEY, Site, serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_missing_size_is_made_and_the_redirect_leads_to_it(site: Site, key: str) -> None:
    site.upload(key)
    answer = await site.client.get(f"/img/{key}/small")
    assert answer.status_code == 302
    assert answer.headers["location"] == f"/files/{key.replace('original', 'small')}"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["x-content-type-options"] == "nosniff"
    timing = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert set(timing) == {"store", "wait", "render"}
    assert float(timing["render"]) > 0
    file = await site.client.get(answer.headers["location"])
    assert (file.status_code, file.headers["content-type"]) == (200, "image/jpeg")
    assert file.content[:2] == b"\xff\xd8"
    assert file.headers["content-length"] == str(len(file.content))
    assert file.headers["cache-control"] == "public, max-age=86400"


async def test_head_says_what_get_says_without_a_body(site: Site, key: str) -> None:
    site.upload(key)
    head = await site.client.head(f"/img/{key}/small")
    get = await site.client.get(f"/img/{key}/small")
    assert (head.status_code, head.headers["location"]) == (get.status_code, get.headers["location"])
    file = await site.client.head(head.headers["location"])
    assert (file.status_code, file.content) == (200, b"")
    assert int(file.headers["content-length"]) > 0


async def test_a_known_page_view_is_answered_before_the_application_with_the_same_headers(site: Site, key: str) -> None:
    assert site.shortcut is not None
    target = f"/img/{key}/small".encode()
    own = [(b"x-request-id", b"mine")]
    site.upload(key)
    assert site.shortcut(b"GET", target, own) is None
    await site.client.get(target.decode())
    by_route = (await site.client.get(target.decode(), headers=own)).headers
    response = site.shortcut(b"GET", target, own)
    assert response is not None
    assert response[1] == b""
    status, *lines, end, body = response[0].decode().split("\r\n")
    assert (status, end, body) == ("HTTP/1.1 302 Found", "", "")
    by_shortcut = dict(line.split(": ", 1) for line in lines)
    moving = {"date", "server-timing"}
    assert {**by_shortcut, **dict.fromkeys(moving, "")} == {**by_route, **dict.fromkeys(moving, "")}
    assert response == site.shortcut(b"HEAD", target + b"?v=2", own)


async def test_whatever_is_unusual_is_left_to_the_application(tmp_path: Path) -> None:
    async with serving(tmp_path, cors_origins="https://gallformers.org") as site:
        assert site.shortcut is not None
        target = f"/img/{KEY}/small".encode()
        site.upload()
        await site.client.get(target.decode())
        assert site.shortcut(b"GET", target, [(b"x-request-id", b"\x80")]) is not None
        left = [
            (b"POST", target, []),
            (b"GET", target.replace(b"/small", b"/huge"), []),
            (b"GET", target + b"#part", []),
            (b"GET", b"http://images.test" + target, []),
            (b"GET", target + b"?" + b"a" * 300, []),
            (b"GET", target, [(b"origin", b"https://gallformers.org")]),
        ]
        assert [site.shortcut(*request) for request in left] == [None] * len(left)


async def test_fifty_callers_at_once_are_all_led_to_the_derivative(site: Site, key: str) -> None:
    site.upload(key)
    answers = await asyncio.gather(*(site.client.get(f"/img/{key}/medium") for _ in range(50)))
    assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {
        (302, f"/files/{key.replace('original', 'medium')}")
    }


@pytest.mark.parametrize(
    "key",
    [
        "a b/c+d_original.jpg",
        "percent%2Fin_original.jpg",
        "100%_original.jpg",
        "Gallwespe ü/ä_original.jpg",
        "q?#_original.jpg",
    ],
)
async def test_any_key_survives_the_way_through_the_address(site: Site, key: str) -> None:
    site.upload(key)
    answer = await site.client.get(f"/img/{quote(key)}/small")
    assert answer.status_code == 302
    file = await site.client.get(answer.headers["location"])
    assert file.status_code == 200
    assert (site.store / key.replace("_original", "_small")).exists()


async def test_the_slashes_of_a_key_may_be_escaped(site: Site, key: str) -> None:
    site.upload(key)
    answer = await site.client.get(f"/img/{quote(key, safe='')}/small")
    assert answer.headers["location"] == f"/files/{key.replace('original', 'small')}"


async def test_redirects_lead_to_the_public_address_of_the_bucket(tmp_path: Path) -> None:
    async with serving(tmp_path, public_base_url="https://images.example.org/") as site:
        site.upload("a b_original.jpg")
        answer = await site.client.get("/img/a%20b_original.jpg/small")
        assert answer.headers["location"] == "https://images.example.org/a%20b_small.jpg"


async def test_the_original_itself_can_be_asked_for(site: Site, key: str) -> None:
    site.upload(key)
    answer = await site.client.get(f"/img/{key}/original")
    assert answer.headers["location"] == f"/files/{key}"


@pytest.mark.parametrize(
    ("path", "status", "code", "cache_control"),
    [
        (f"/img/{KEY}/huge", 404, "unknown-size", "public, max-age=60"),
        ("/img/gall/1/1_1_original.jpg/small", 404, "not-found", "public, max-age=30"),
        ("/img/gall/58/58_1_small.jpg/small", 400, "bad-key", "public, max-age=60"),
        ("/img/..%2F..%2Fetc%2Fpasswd_original/small", 400, "bad-key", "public, max-age=60"),
        ("/img/%FF_original.jpg/small", 400, "bad-key", "public, max-age=60"),
        ("/img/%00_original.jpg/small", 400, "bad-key", "public, max-age=60"),
        ("/img/small", 400, "bad-key", "public, max-age=60"),
        ("/files/gall/58/other.html", 400, "bad-key", "public, max-age=60"),
        ("/files/gall/58/58_2_small.jpg", 404, "not-found", "public, max-age=30"),
        ("/nowhere", 404, "not-found", "no-store"),
        (f"/imgs/{KEY}/small", 404, "not-found", "no-store"),
        ("/filesystem", 404, "not-found", "no-store"),
    ],
)
async def test_what_is_wrong_is_said_in_one_shape(
    site: Site, path: str, status: int, code: str, cache_control: str
) -> None:
    site.upload()
    answer = await site.client.get(path, headers={"x-request-id": "abc-1"})
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert (problem["type"], answer.headers["cache-control"]) == (f"/problems/{code}", cache_control)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (problem["request_id"], answer.headers["x-request-id"]) == ("abc-1", "abc-1")
    assert len(problem["detail"]) > 10
    assert str(site.store) not in answer.text


async def test_what_is_no_image_is_refused_for_a_minute(site: Site, key: str) -> None:
    path = site.store / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is not a picture")
    answer = await site.client.get(f"/img/{key}/small")
    assert (answer.status_code, answer.headers["cache-control"]) == (422, "public, max-age=60")


async def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, max_upload_mb=1) as site:
        path = site.store / KEY
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff" + bytes(1 << 20))
        assert (await site.client.get(f"/img/{KEY}/small")).status_code == 413


async def test_a_full_line_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path, workers=1, waiting=0) as site:
        keys = [f"gall/{number}/{number}_1_original.jpg" for number in range(8)]
        for key in keys:
            site.upload(key, width=2000, height=1500)
        answers = await asyncio.gather(*(site.client.get(f"/img/{key}/small") for key in keys))
        busy = [answer for answer in answers if answer.status_code == 503]
        assert busy
        assert {answer.status_code for answer in answers} == {302, 503}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in busy)
        assert {answer.headers["cache-control"] for answer in busy} == {"no-store"}


async def test_a_store_that_refuses_is_a_bad_gateway(site: Site, key: str) -> None:
    site.upload(key)
    (site.store / key.replace("original", "small")).symlink_to("/etc/passwd")
    answer = await site.client.get(f"/img/{key}/small")
    assert (answer.status_code, answer.headers["cache-control"]) == (502, "no-store")
    assert int(answer.headers["retry-after"]) > 0


async def test_only_reading_is_allowed(site: Site) -> None:
    answer = await site.client.post(f"/img/{KEY}/small")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await site.client.delete("/files/gall/58/58_1_small.jpg")).status_code == 405


async def test_a_file_can_never_run_as_a_page(site: Site, key: str) -> None:
    site.upload(key)
    answer = await site.client.get(f"/files/{key}")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_scripts_of_allowed_origins_may_call(tmp_path: Path) -> None:
    async with serving(tmp_path, cors_origins="https://gallformers.org", timing_allow_origin="*") as site:
        site.upload()
        answer = await site.client.get(f"/img/{KEY}/small", headers={"origin": "https://gallformers.org"})
        assert answer.headers["access-control-allow-origin"] == "https://gallformers.org"
        assert answer.headers["timing-allow-origin"] == "*"


async def test_requests_are_counted_by_route_whatever_the_key(site: Site, key: str) -> None:
    site.upload(key)

    def count(route: str, status: str) -> float:
        labels = {"route": route, "status": status}
        return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0

    before = count("/img/{key}/{size}", "302"), count("/files/{key}", "200")
    answer = await site.client.get(f"/img/{key}/small")
    await site.client.get(answer.headers["location"])
    assert (count("/img/{key}/{size}", "302"), count("/files/{key}", "200")) == (before[0] + 1, before[1] + 1)
