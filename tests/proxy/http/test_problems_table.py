"""The table of docs/reference/problems.md: every row on a running service, with all headers, for both deliveries."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from pipeline.protocol import Limits
from tests.proxy.http.conftest import KEY, Site, serving
from tests.proxy.rendering.test_pool import render_pids
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("delivery", ["redirect", "stream"], scope="module")]

MINUTE, HALF, NEVER = "public, max-age=60", "public, max-age=30", "no-store"
PAGE = f"/img/{KEY}/small"
FOUND = {200, 302}
TICKS = 3
"""CPU time, in hundredths of a second, after which a render process is certainly at work."""
LOWEST_PRIORITY = 19


@pytest.fixture(scope="module")
async def site(delivery: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with serving(tmp_path_factory.mktemp("site"), delivery=delivery) as one:
        yield one


def check(answer: httpx.Response, status: int, code: str, cache_control: str, *, retries: bool = False) -> None:
    """Assert that a response matches its row."""
    headers, problem = answer.headers, answer.json()
    assert (answer.status_code, problem["status"], problem["type"]) == (status, status, f"/problems/{code}"), problem
    assert headers["cache-control"] == cache_control
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"] == problem["request_id"]
    assert ("retry-after" in headers) == retries
    assert not retries or int(headers["retry-after"]) > 0
    timing = dict(part.split(";dur=") for part in headers["server-timing"].split(", "))
    assert set(timing) == {"store", "wait", "render"}
    assert all(float(milliseconds) >= 0 for milliseconds in timing.values())
    assert len(problem["detail"]) > 10
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}


def still_gif(*, frames: int) -> bytes:
    """Return a GIF that repeats one pixel: the smallest possible frame (GIF89a, section 20)."""
    frame = b"\x2c\0\0\0\0\x01\0\x01\0\0" + b"\x02\x02\x44\x01\0"
    return b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff" + frame * frames + b"\x3b"


def put(site: Site, body: bytes, key: str = KEY) -> None:
    path = site.store / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("/img/gall/58/58_1_small.jpg/small", (400, "bad-key", MINUTE)),
        ("/img/..%2F..%2Fetc%2Fpasswd_original/small", (400, "bad-key", MINUTE)),
        ("/img/small", (400, "bad-key", MINUTE)),
        (f"/img/{'a' * 256}_original.jpg/small", (400, "bad-key", MINUTE)),
        (f"/img/{'a/' * 512}1_original.jpg/small", (400, "bad-key", MINUTE)),
        (f"/img/{KEY}/huge", (404, "unknown-size", MINUTE)),
        ("/img/gall/1/1_1_original.jpg/small", (404, "not-found", HALF)),
        ("/img/gall/1/1_1_original.jpg/original", (404, "not-found", HALF)),
    ],
)
async def test_what_cannot_be(site: Site, path: str, row: tuple[int, str, str]) -> None:
    for method in ("GET", "GET", "HEAD"):
        answer = await site.client.request(method, path)
        if method == "GET":
            check(answer, *row)
        assert (answer.status_code, answer.headers["cache-control"]) == (row[0], row[2])


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda _: b"this is not a picture", "not-an-image"),
        (lambda whole: whole[: len(whole) // 2], "corrupt"),
        (lambda _: b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "unsupported-format"),
    ],
    ids=["no image", "truncated", "unsupported"],
)
async def test_an_original_that_is_none(site: Site, key: str, spoil: Callable[[bytes], bytes], code: str) -> None:
    site.upload(key)
    put(site, spoil((site.store / key).read_bytes()), key)
    for _ in range(2):
        check(await site.client.get(f"/img/{key}/small"), 422, code, MINUTE)


async def test_an_original_with_too_many_pixels(tmp_path: Path, delivery: str) -> None:
    async with serving(tmp_path, delivery=delivery, max_pixels=1000) as site:
        site.upload()
        check(await site.client.get(PAGE), 422, "too-many-pixels", MINUTE)


async def test_an_original_with_too_many_frames(site: Site, key: str) -> None:
    put(site, still_gif(frames=Limits().frames + 1), key)
    for _ in range(2):
        check(await site.client.get(f"/img/{key}/small"), 422, "too-many-frames", MINUTE)


@pytest.mark.slow
async def test_an_original_that_needs_too_much_memory(tmp_path: Path, delivery: str) -> None:
    async with serving(tmp_path, delivery=delivery, memory_budget_mb=50) as site:
        path = site.store / KEY
        path.parent.mkdir(parents=True)
        paint(path, Photograph(width=6000, height=4000), interlace=True)  # 150 MB, a baseline JPEG takes 50
        for _ in range(2):
            check(await site.client.get(PAGE), 422, "needs-too-much-memory", MINUTE)


async def test_an_original_with_too_many_bytes(tmp_path: Path, delivery: str) -> None:
    async with serving(tmp_path, delivery=delivery, max_upload_mb=1) as site:
        put(site, b"\xff\xd8\xff" + bytes(1 << 20))
        answer = await site.client.get(PAGE)
        check(answer, 413, "too-many-bytes", MINUTE)
        assert (
            answer.json()["detail"] == "The file has 1,048,579 bytes, but the limit is 1,048,576; upload a smaller one."
        )


async def test_a_line_that_is_full(tmp_path: Path, delivery: str) -> None:
    async with serving(tmp_path, delivery=delivery, workers=1, waiting=0) as site:
        keys = [f"gall/{number}/{number}_1_original.jpg" for number in range(6)]
        for key in keys:
            site.upload(key, width=2000, height=1500)
        answers = await asyncio.gather(*(site.client.get(f"/img/{key}/small") for key in keys))
        busy = [answer for answer in answers if answer.status_code == 503]
        assert busy
        for answer in busy:
            check(answer, 503, "busy", NEVER, retries=True)
        refused = keys[answers.index(busy[0])]

        async def is_found() -> bool:
            return (await site.client.get(f"/img/{refused}/small")).status_code in FOUND

        await until(is_found)  # the refusal was not cached


@pytest.mark.slow
async def test_a_render_over_its_deadline_is_tried_three_times(tmp_path: Path, delivery: str) -> None:
    async def no_child() -> bool:
        return not render_pids(children=True)

    async with serving(tmp_path, delivery=delivery, render_timeout_seconds=0.0001) as site:
        site.upload()
        for _ in range(3):
            answer = await site.client.get(PAGE)
            check(answer, 504, "deadline-exceeded", NEVER)
            assert not answer.headers["server-timing"].endswith("render;dur=0.0")
            await until(no_child)
        answer = await site.client.get(PAGE)
        check(answer, 504, "deadline-exceeded", NEVER)
        assert answer.headers["server-timing"].endswith("render;dur=0.0")


async def killed_at_work(site: Site) -> httpx.Response:
    """Request a page, and kill the render process once it works on it."""
    asking = asyncio.create_task(site.client.get(PAGE))

    async def at_work() -> int | None:
        for pid in render_pids(children=True):
            with suppress(ProcessLookupError):  # it must not end before this process has looked at it again
                os.setpriority(os.PRIO_PROCESS, pid, LOWEST_PRIORITY)
            if ticks(pid) >= TICKS:
                return pid
        return None

    os.kill(await until(at_work), signal.SIGKILL)
    return await asking


def ticks(pid: int) -> int:
    """Return the CPU time of a process in hundredths of a second."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


@pytest.mark.slow
async def test_a_render_process_that_dies_twice_under_the_same_bytes(tmp_path: Path, delivery: str) -> None:
    async with serving(tmp_path, delivery=delivery) as site:
        site.upload(width=8000, height=6000)
        check(await killed_at_work(site), 500, "process-died", NEVER)
        check(await killed_at_work(site), 422, "died-again", NEVER)
        answer = await site.client.get(PAGE)
        check(answer, 422, "died-again", NEVER)
        assert answer.headers["server-timing"].endswith("render;dur=0.0")
        site.upload(width=8001, height=6000)
        assert (await site.client.get(PAGE)).status_code in FOUND


async def test_a_store_that_refuses(site: Site, key: str) -> None:
    site.upload(key)
    link = site.store / key.replace("original", "small")
    link.symlink_to("/etc/passwd")
    check(await site.client.get(f"/img/{key}/small"), 502, "store-refused", NEVER, retries=True)
    link.unlink()
    assert (await site.client.get(f"/img/{key}/small")).status_code in FOUND  # that was not remembered


@pytest.mark.slow
async def test_a_store_that_cannot_be_reached(tmp_path: Path, delivery: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    settings = {"store": "s3://images", "s3_endpoint_url": "http://127.0.0.1:1", "aws_region": "us-east-1"}
    async with serving(tmp_path, delivery=delivery, public_base_url="https://images.test", **settings) as site:
        answer = await site.client.get(PAGE)
        check(answer, 502, "store-unavailable", NEVER, retries=True)
        assert "127.0.0.1" not in answer.text


async def test_something_else_than_reading(site: Site) -> None:
    check(await site.client.delete(PAGE), 405, "method-not-allowed", NEVER)
