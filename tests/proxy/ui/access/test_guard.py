"""Who may open the pages, and which forms are refused."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import httpx
import pytest
from litestar.datastructures import Headers

from proxy.ui.access.guard import COOKIE, MOST_LOG_INS
from proxy.ui.access.this_machine import FORWARDED, is_local, is_loopback_host
from proxy.ui.access.tries import BURST, EVERY_SECONDS
from tests.proxy.ui.conftest import PASSWORD, Browser, browsing, words

if TYPE_CHECKING:
    from pathlib import Path

    from litestar.types import HTTPScope

pytestmark = pytest.mark.anyio

PAGES = (
    "/",
    "/jobs",
    "/jobs/0123456789abcdef0123456789abcdef",
    "/pictures",
    "/pictures/a_original.jpg",
    "/status",
    "/queue",
)
FORMS = (
    "/uploads",
    "/jobs/replay",
    "/jobs/0123456789abcdef0123456789abcdef/replay",
    "/jobs/0123456789abcdef0123456789abcdef/cancel",
    "/queue/pause",
    "/queue/resume",
    "/pictures/a_original.jpg",
    "/login",
    "/logout",
)


def scope(client: str = "127.0.0.1", server: str = "127.0.0.1") -> HTTPScope:
    return cast("HTTPScope", {"client": (client, 1234), "server": (server, 8080)})


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1", "127.9.9.9:1", "[::1]:8080"])
def test_a_browser_of_this_machine_is_local(host: str) -> None:
    assert is_local(scope(), Headers({"host": host}))


@pytest.mark.parametrize(
    "host",
    ["", "images.test", "127.0.0.1.nip.io", "localhost.attacker.test", "10.0.0.1", "[::2]", "127.0.0.1@evil.test", "["],
)
def test_another_name_of_this_machine_is_not_local_as_its_dns_may_have_changed(host: str) -> None:
    assert not is_loopback_host(host)
    assert not is_local(scope(), Headers({"host": host}))


@pytest.mark.parametrize("name", FORWARDED)
def test_what_came_through_a_proxy_is_not_local(name: str) -> None:
    assert not is_local(scope(), Headers({"host": "localhost", name: "127.0.0.1"}))


@pytest.mark.parametrize(("client", "server"), [("10.0.0.1", "127.0.0.1"), ("127.0.0.1", "10.0.0.1"), ("", "")])
def test_another_machine_is_not_local(client: str, server: str) -> None:
    assert not is_local(scope(client, server), Headers({"host": "localhost"}))


async def test_without_a_password_only_this_machine_opens_pages(browser: Browser) -> None:
    for path in ("/", "/jobs", "/pictures", "/status"):
        assert (await browser.get(path)).status_code == 200
        for headers in ({"x_forwarded_for": "127.0.0.1"}, {"host": "rebound.test"}):
            refused = await browser.get(path, **headers)
            assert refused.status_code == 403
            assert "UI_PASSWORD" in words(refused)


async def test_every_page_and_form_asks_for_the_password(guest: Browser) -> None:
    for path in PAGES:
        answer = await guest.get(path)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/login"), path
    token = await guest.token("/login")
    for path in FORMS:
        if path != "/login":
            answer = await guest.send(path, token=token)
            assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path
    assert (await guest.get("/stored/a_original.jpg")).status_code == 303
    assert (await guest.get("/v1/jobs?limit=1")).status_code != 303  # the API has its own rules


async def test_a_part_of_a_page_sends_the_whole_page_to_the_log_in(guest: Browser) -> None:
    answer = await guest.get("/queue", hx_request="true")
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login?next=%2Fqueue")


async def test_a_log_in_leads_to_the_page_that_was_asked_for(guest: Browser) -> None:
    entered = await guest.send("/login", page="/login", password=PASSWORD, next="/status")
    assert (entered.status_code, entered.headers["location"]) == (303, "/status")
    cookie = entered.headers["set-cookie"]
    assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= {*cookie.split("; ")}
    assert (await guest.get("/status")).status_code == 200


@pytest.mark.parametrize("path", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/a\nb"])
async def test_a_log_in_never_leads_to_another_host(guest: Browser, path: str) -> None:
    entered = await guest.send("/login", page="/login", password=PASSWORD, next=path)
    assert entered.headers["location"] == "/"


async def test_a_log_in_starts_another_session_than_that_of_the_guest(guest: Browser) -> None:
    await guest.get("/login")
    before = guest.client.cookies[COOKIE]
    await guest.send("/login", page="/login", password=PASSWORD)
    after = guest.client.cookies[COOKIE]
    assert before.split(".")[0] != after.split(".")[0]


async def test_a_session_ends_with_its_log_out_also_for_who_kept_its_cookie(guest: Browser) -> None:
    await guest.send("/login", page="/login", password=PASSWORD)
    kept = guest.client.cookies[COOKIE]
    assert (await guest.send("/logout")).status_code == 303
    guest.client.cookies.clear()
    refused = await guest.get("/jobs", cookie=f"{COOKIE}={kept}")
    assert (refused.status_code, refused.headers["location"]) == (303, "/login?next=%2Fjobs")


async def test_a_changed_cookie_is_no_session(guest: Browser) -> None:
    await guest.get("/login")
    guest_cookie = guest.client.cookies[COOKIE]
    guest.client.cookies.clear()
    for changed in (guest_cookie.replace("guest", "user"), guest_cookie[:-1] + "x", "x" * 5000, ""):
        assert (await guest.get("/jobs", cookie=f"{COOKIE}={changed}")).status_code == 303


async def test_many_wrong_passwords_are_refused(guest: Browser) -> None:
    token, began = await guest.token("/login"), time.monotonic()
    answers = [await guest.send("/login", token=token, password=f"wrong {n}") for n in range(200)]
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 429}
    assert BURST <= statuses.count(401) <= BURST + (time.monotonic() - began) / EVERY_SECONDS + 1
    refused = answers[statuses.index(429)]
    assert 0 < int(refused.headers["retry-after"]) <= EVERY_SECONDS


async def test_no_more_log_ins_wait_than_the_limit_whatever_their_addresses(guest: Browser) -> None:
    token, cookies = await guest.token("/login"), guest.client.cookies
    app = guest.client._transport.app  # type: ignore[attr-defined] # noqa: SLF001 - asked from many addresses

    async def enter(number: int) -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(f"10.0.0.{number}", 1))
        async with httpx.AsyncClient(transport=transport, base_url=guest.client.base_url, cookies=cookies) as one:
            return await one.post("/login", data={"form_token": token, "password": PASSWORD})

    answers = await asyncio.gather(*(enter(number) for number in range(5 * MOST_LOG_INS)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert [answer.status_code for answer in answers].count(303) >= MOST_LOG_INS
    assert len(refused) >= 3 * MOST_LOG_INS
    assert int(refused[0].headers["retry-after"]) > 0
    assert "Too many log-ins" in words(refused[0])
    assert (await enter(0)).status_code == 303


@pytest.mark.parametrize("path", FORMS)
async def test_a_forged_form_is_refused(browser: Browser, path: str) -> None:
    token = await browser.token()
    for forged in ("", "0" * 64, token[:-1], token.upper(), "é"):
        answer = await browser.send(path, token=forged)
        assert answer.status_code == 403, (path, forged)
        assert "does not belong to this session" in answer.text


async def test_a_token_of_another_session_is_refused(browser: Browser) -> None:
    token = await browser.token()
    browser.client.cookies.clear()
    assert (await browser.send("/queue/pause", token=token)).status_code == 403


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ],
)
async def test_a_form_of_another_site_is_refused_even_with_a_token(browser: Browser, name: str, value: str) -> None:
    token = await browser.token()
    answer = await browser.client.post("/queue/pause", data={"form_token": token}, headers={name: value})
    assert answer.status_code == 403


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a" * 100_000, b"&".join([b"a=1"] * 200)])
async def test_a_body_that_is_no_form_is_refused(browser: Browser, body: bytes) -> None:
    for path in ("/queue/pause", "/pictures/a_original.jpg"):
        assert (await browser.client.post(path, content=body)).status_code in (403, 413)


async def test_no_page_may_be_framed_kept_or_run_scripts_of_others(browser: Browser) -> None:
    for path in (*PAGES, "/login", "/jobs?cursor=nonsense"):
        headers = (await browser.get(path)).headers
        if "location" in headers:
            continue
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(("proto", "is_secure"), [("https", True), ("http", False), ("https, http", True)])
async def test_the_cookie_is_secure_behind_https(tmp_path: Path, proto: str, *, is_secure: bool) -> None:
    async with browsing(tmp_path, host="http://images.test", ui_password=PASSWORD) as one:
        answer = await one.get("/login", x_forwarded_proto=proto)
    assert ("Secure" in answer.headers["set-cookie"]) is is_secure


@pytest.mark.parametrize("dest", ["image", "iframe", "script", "empty"])
async def test_a_page_of_another_site_may_link_here_and_load_nothing(browser: Browser, dest: str) -> None:
    for path in ("/", "/stored/a_original.jpg", "/pictures/a_original.jpg?facts=read"):
        foreign = {"sec_fetch_site": "cross-site", "sec_fetch_dest": dest}
        assert (await browser.get(path, **foreign)).status_code == 403
    assert (await browser.get("/", sec_fetch_site="cross-site", sec_fetch_dest="document")).status_code == 200
