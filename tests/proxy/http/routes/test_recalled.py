"""Derivatives that were read a moment ago: sent without a call of the store, until something changes them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from loadtest.servers.service import signed
from tests.proxy.http.conftest import KEY, SECRET, Site, serving
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

VIEW, SMALL = f"/img/{KEY}/small", "gall/58/58_1_small.jpg"
ROUTES = (VIEW, f"/files/{SMALL}")
MOVING = {"date", "server-timing"}


@asynccontextmanager
async def streaming(folder: Path, **settings: str | float) -> AsyncIterator[Site]:
    async with serving(folder, delivery="stream", **settings) as one:
        one.upload()
        await one.client.get(VIEW)
        yield one


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with streaming(tmp_path_factory.mktemp("site")) as one:
        yield one


def calls() -> float:
    kinds = ("head", "open", "fetch")
    return sum(REGISTRY.get_sample_value("store_seconds_count", {"operation": kind}) or 0.0 for kind in kinds)


def ask(
    site: Site, route: str, *headers: tuple[bytes, bytes], method: bytes = b"GET"
) -> tuple[str, dict[str, str], bytes]:
    """Ask the shortcut, which has to answer; return the status, the headers and the body."""
    response = site.shortcut(method, route.encode(), [(b"x-request-id", b"mine"), *headers])
    assert response is not None
    status, *lines = response[0].decode().removesuffix("\r\n\r\n").split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), response[1]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("condition", ["", "etag", "last-modified"])
async def test_a_remembered_derivative_is_answered_before_the_application_with_the_same_headers(
    site: Site, route: str, method: str, condition: str
) -> None:
    before = (await site.client.get(route)).headers
    name = {"etag": "if-none-match", "last-modified": "if-modified-since"}.get(condition)
    own = [("x-request-id", "mine"), *([(name, before[condition])] if name else [])]
    by_route = await site.client.request(method, route, headers=own)
    calls_before = calls()
    told = [(name.encode(), before[condition].encode())] if name else []
    status, headers, body = ask(site, route, *told, method=method.encode())
    assert calls() == calls_before
    assert status.split(" ")[1] == str(by_route.status_code)
    assert body == by_route.content
    assert {**headers, **dict.fromkeys(MOVING, "")} == {**by_route.headers, **dict.fromkeys(MOVING, "")}


@pytest.mark.parametrize("route", ROUTES)
async def test_whatever_is_unusual_is_left_to_the_application_which_needs_no_call_either(
    site: Site, route: str
) -> None:
    whole = await site.client.get(route)
    made = []
    for _ in range(2):  # the readiness check, every 30 s, calls the store too
        before = calls()
        for headers in (
            {"range": "bytes=2-5"},
            {"if-match": "*"},
            {"range": "bytes=2-5", "if-range": whole.headers["etag"]},
        ):
            told = [(name.encode(), value.encode()) for name, value in headers.items()]
            assert site.shortcut(b"GET", route.encode(), told) is None
            answer = await site.client.get(route, headers=headers)
            assert answer.content == (whole.content[2:6] if "range" in headers else whole.content)
        assert site.shortcut(b"POST", route.encode(), []) is None
        made.append(calls() - before)
    assert min(made) == 0


async def test_a_first_view_reads_the_bytes_with_one_call_and_the_second_with_none(tmp_path: Path) -> None:
    async with streaming(tmp_path):
        pass  # another process has made it
    async with serving(tmp_path, delivery="stream") as site:
        for expected in (1, 0):
            before = calls()
            assert (await site.client.get(VIEW)).status_code == 200
            assert calls() - before == expected


async def test_a_purge_forgets_the_bytes(tmp_path: Path) -> None:
    async with streaming(tmp_path) as site:
        (site.store / KEY).unlink()
        address = f"/v1/derivatives/{KEY}"
        await site.client.delete(address, headers=signed(f"DELETE {address}".encode(), secret=SECRET))
        for route in ROUTES:
            assert site.shortcut(b"GET", route.encode(), []) is None
            assert (await site.client.get(route)).status_code == 404


async def test_a_job_for_a_replaced_original_forgets_the_bytes(tmp_path: Path) -> None:
    async with streaming(tmp_path) as site:
        before = ask(site, VIEW)[2]
        site.upload(width=400, height=400)
        await post(site)
        after = (await site.client.get(VIEW)).content
        assert after == (site.store / SMALL).read_bytes() != before
        assert ask(site, VIEW)[2] == after


async def test_a_setting_turns_it_off(tmp_path: Path) -> None:
    async with streaming(tmp_path, stream_cache_mb=0) as site:
        before = calls()
        assert site.shortcut(b"GET", VIEW.encode(), []) is None
        assert (await site.client.get(VIEW)).status_code == 200
        assert calls() == before + 1


async def test_what_is_not_our_derivative_is_not_remembered(tmp_path: Path) -> None:
    async with serving(tmp_path, delivery="stream") as site:
        site.upload()
        (site.store / SMALL).write_bytes((site.store / KEY).read_bytes())  # without a render profile
        for route in (f"/files/{SMALL}", f"/files/{KEY}"):
            assert (await site.client.get(route)).status_code == 200
            assert site.shortcut(b"GET", route.encode(), []) is None
        assert (await site.client.get(VIEW)).content != (await site.client.get(f"/files/{KEY}")).content
        assert site.shortcut(b"GET", VIEW.encode(), []) is not None


async def test_a_hundred_requests_for_what_changes_meanwhile_never_return_what_was_replaced(tmp_path: Path) -> None:
    async with streaming(tmp_path) as site:
        for number in range(2):
            site.upload(width=400 + number, height=400)
            reading = asyncio.create_task(read_on(site))
            await post(site)
            reading.cancel()
            assert (await site.client.get(VIEW)).content == (site.store / SMALL).read_bytes()


async def read_on(site: Site) -> None:
    while True:
        await site.client.get(VIEW)


async def post(site: Site) -> None:
    """Post a job, and wait for its end."""
    body = f'{{"key": "{KEY}"}}'.encode()
    job = (await site.client.post("/v1/jobs", content=body, headers=signed(body, secret=SECRET))).json()

    async def is_done() -> bool:
        return bool((await site.client.get(f"/v1/jobs/{job['id']}")).json()["status"] == "done")

    await until(is_done)
