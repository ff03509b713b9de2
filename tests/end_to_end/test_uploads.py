"""Uploads to a service of its own process: many and large ones at once, cut off ones, and those of a browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.groups import CannotMakeGroups, memory_group
from loadtest.servers.service import Service, running, signed, started
from tests.benchmarks.page.devtools import LACKS, Screen, browsing, is_there
from tests.benchmarks.page.gallery import served
from tests.small_machine import MACHINE_BYTES, watched
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from loadtest.servers.groups import Group

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

MEBIBYTE = 1 << 20

CROWD = 20

UPLOAD_BYTES = 30 * MEBIBYTE

MOST_GROWTH_BYTES = 24 * MEBIBYTE
"""Less than one upload: a web process with twenty connections, and what the allocator keeps."""

ENDS = ("closes", "resets", "is killed with the service")

SCREEN = Screen(width=800, height=600, density=1)

SLOW = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2 * MEBIBYTE}
"""Half a second for a file, so that the browser reports progress."""

DOCUMENT = Path(__file__).parents[2] / "docs" / "uploads.md"


def key_of(number: int) -> str:
    return f"gall/{number}/{number}_1_original.jpg"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    paint(path, Photograph(width=400, height=300))
    return path.read_bytes()


async def upload_url(client: httpx.AsyncClient, key: str, **fields: object) -> str:
    body = msgspec.json.encode({"key": key, **fields})
    answer = await client.post("/v1/uploads", content=body, headers=signed(body))
    return str(answer.raise_for_status().json()["upload_url"])


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    """Send a photograph that is followed by zeros, up to `size` bytes."""
    yield body
    for start in range(len(body), size, 1 << 16):
        yield bytes(min(1 << 16, size - start))


@contextlib.asynccontextmanager
async def putting(
    service: Service, url: str, length: int, start: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection on which an upload of `length` bytes begins with `start`; it is closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        writer.write(b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (url.encode(), length))
        writer.write(start)
        await writer.drain()
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that the tests share; the last one kills it."""
    with running(tmp_path_factory.mktemp("service"), CORS_ORIGINS="*") as one:
        yield one


def parts(service: Service) -> list[Path]:
    """Return the files of uploads that have not ended."""
    return [*service.scratch.rglob("upload")]


@pytest.fixture
def group() -> Iterator[Group]:
    """A machine of 256 MB."""
    try:
        with memory_group(MACHINE_BYTES) as one:
            yield one
    except CannotMakeGroups as reason:
        pytest.skip(str(reason))


async def test_twenty_uploads_of_30_mb_at_once_take_no_memory(
    tmp_path: Path, group: Group, photo: bytes, record_property: Callable[[str, object], None]
) -> None:
    machine = Service(folder=tmp_path, settings={"WORKERS": "1", "QUEUE_SIZE": "100"}, entry=group.entry)
    with started(machine) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=200) as client:
            for number in range(2):  # what the first uses of all parts take
                await client.put(await upload_url(client, key_of(1000 + number)), content=photo)
            before = group.held_bytes()
            async with watched(group) as held:
                urls = [await upload_url(client, key_of(number)) for number in range(CROWD)]
                answers = await asyncio.gather(*(client.put(url, content=pieces(photo, UPLOAD_BYTES)) for url in urls))
        assert [answer.status_code for answer in answers] == [201] * CROWD
        assert {(service.store / key_of(number)).stat().st_size for number in range(CROWD)} == {UPLOAD_BYTES}
    record_property("held", f"{before / 1e6:.0f} MB before, at most {max(held) / 1e6:.0f} MB")
    assert group.kills() == 0
    assert max(held) - before < MOST_GROWTH_BYTES


async def test_a_refusal_reaches_a_client_that_still_sends(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        for start, length, status in ((b"%PDF", 5_000_000, 422), (b"\xff\xd8\xff", 31 * MEBIBYTE, 413)):
            url, body = await upload_url(client, key_of(length)), start + bytes(length - len(start))
            async with putting(service, url, length, body) as (reader, _):
                assert (await reader.readline()).startswith(b"HTTP/1.1 %d" % status)


@pytest.mark.skipif(not is_there(), reason=LACKS)
async def test_chromium_uploads_four_photographs_and_shows_their_progress(service: Service, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(4)]
    for number, file in enumerate(files):
        paint(file, Photograph(width=1600 + number, height=1200))
        with file.open("ab") as end:
            end.write(bytes(MEBIBYTE))
    script = re.search(r"```js\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert script is not None
    page = f"<!doctype html><input type=file multiple><ul id=uploads></ul><script>{script[1]}</script>".encode()
    async with httpx.AsyncClient(base_url=service.url) as client:
        urls = [service.url + await upload_url(client, key_of(number)) for number in range(4)]
    orders = {file.name: {"upload_url": url} for file, url in zip(files, urls, strict=True)}
    with served(page) as address, browsing(tmp_path / "chromium", SCREEN) as tab:
        told = await asyncio.to_thread(_upload_in, tab, address, files, orders)
    assert [line.partition(": stored, job ")[0] for line in told["lines"]] == [file.name for file in files]
    assert all((service.store / key_of(n)).read_bytes() == file.read_bytes() for n, file in enumerate(files))
    shown = {int(line.split()[-2]) for line in told["shown"] if line.endswith("%")}
    assert shown & {*range(1, 100)}


def _upload_in(tab: Any, url: str, files: list[Path], orders: Mapping[str, object]) -> dict[str, list[str]]:
    """Choose files on the page, as a person would; the site's route for orders is answered here."""
    loader = tab.call("Page.navigate", url=url)["loaderId"]
    tab.wait("Page.lifecycleEvent", name="load", loaderId=loader)
    tab.call("Network.emulateNetworkConditions", **SLOW)
    tab.evaluate(
        f"""(() => {{
          const orders = {msgspec.json.encode(orders).decode()};
          window.shown = [];
          window.fetch = async (url) => Response.json(orders[new URL(url, location).searchParams.get("name")]);
          new MutationObserver(() => window.shown.push(document.querySelector("#uploads").lastChild.textContent))
            .observe(document.querySelector("#uploads"), {{ childList: true, subtree: true, characterData: true }});
        }})()"""
    )
    root = tab.call("DOM.getDocument")["root"]["nodeId"]
    chooser = tab.call("DOM.querySelector", nodeId=root, selector="input")["nodeId"]
    tab.call("DOM.setFileInputFiles", nodeId=chooser, files=[os.fspath(file) for file in files])
    told: dict[str, list[str]] = tab.evaluate(
        """new Promise((done) => setInterval(() => {
          const lines = [...document.querySelectorAll("#uploads li")].map((line) => line.textContent);
          const ended = lines.filter((line) => line && !line.endsWith("%"));
          if (ended.length === 4) done({ lines, shown: window.shown });
        }, 20))"""
    )
    return told


@pytest.mark.parametrize("how", ENDS)
async def test_an_upload_that_is_cut_off_leaves_nothing(service: Service, photo: bytes, how: str) -> None:
    key = key_of(100 + ENDS.index(how))
    async with httpx.AsyncClient(base_url=service.url) as client:
        url = await upload_url(client, key)

        async def has_begun() -> bool:
            return any(path.stat().st_size for path in parts(service))

        async def is_gone() -> bool:
            return not parts(service)

        async with putting(service, url, 9_000_000, photo + bytes(3_000_000)) as (_, writer):
            await until(has_begun)
            if how == "is killed with the service":
                service.cut_power()
                service.start()
                await asyncio.to_thread(service.wait_until_ready)
            elif how == "resets":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(is_gone)
        assert not (service.store / key).exists()
        done = await client.put(url, content=photo)
        assert done.status_code == 201, done.text
        assert (service.store / key).read_bytes() == photo
