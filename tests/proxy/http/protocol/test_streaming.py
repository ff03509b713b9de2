"""Streaming a blob's bytes from the store."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog
from prometheus_client import REGISTRY

from loadtest.paint import Photograph, paint
from proxy.derivatives.reader import BlobReader
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import Busy, StoreUnavailable
from proxy.http.protocol.streaming import Exchange
from proxy.stores.base import Attributes, Blob
from proxy.stores.memory import MemoryStore
from proxy.stores.ranges import Changed
from tests.proxy.http.conftest import KEY, Site, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from litestar.types import Message, Scope

    from proxy.stores.ranges import ByteRange

pytestmark = pytest.mark.anyio

ROUTES = (f"/img/{KEY}/small", f"/files/{KEY.replace('original', 'small')}")
SMALL = "gall/58/58_1_small.jpg"
DEADLINE_SECONDS = 10.0


@asynccontextmanager
async def streaming(folder: Path, *, cache_mb: int = 8) -> AsyncIterator[Site]:
    """Lend a service that streams, and has and knows a derivative."""
    async with serving(folder, delivery="stream", stream_cache_mb=cache_mb) as one:
        one.upload()
        await one.client.head(f"/img/{KEY}/small")
        yield one


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with streaming(tmp_path_factory.mktemp("site")) as one:
        yield one


@pytest.fixture
async def own_site(tmp_path: Path) -> AsyncIterator[Site]:
    """A service that remembers no bytes: it notices at once what is removed by hand."""
    async with streaming(tmp_path, cache_mb=0) as one:
        yield one


@pytest.mark.parametrize("route", ROUTES)
async def test_bytes_are_sent_with_all_that_is_told_of_them(site: Site, route: str) -> None:
    answer = await site.client.get(route)
    kept = (site.store / SMALL).read_bytes()
    assert (answer.status_code, answer.content) == (200, kept)
    headers = answer.headers
    assert (headers["content-type"], headers["content-length"]) == ("image/jpeg", str(len(kept)))
    assert (headers["cache-control"], headers["accept-ranges"]) == ("public, max-age=86400", "bytes")
    assert (headers["x-content-type-options"], headers["content-security-policy"]) == (
        "nosniff",
        "default-src 'none'; sandbox",
    )
    assert headers["etag"].startswith('"')
    assert headers["last-modified"].endswith(" GMT")
    assert headers["server-timing"].startswith("store;dur=")


@pytest.mark.parametrize("route", ROUTES)
async def test_a_head_tells_what_a_get_does_without_a_body(site: Site, route: str) -> None:
    get, head = await site.client.get(route), await site.client.head(route)
    own = {"x-request-id", "server-timing", "date"}
    assert (head.status_code, head.content) == (200, b"")
    assert set(head.headers) == set(get.headers)
    assert {name: value for name, value in head.headers.items() if name not in own} == {
        name: value for name, value in get.headers.items() if name not in own
    }


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_bytes_that_the_client_has_are_not_sent_again(site: Site, route: str, method: str) -> None:
    before = (await site.client.get(route)).headers
    for told in (
        {"if-none-match": before["etag"]},
        {"if-none-match": f'"other", W/{before["etag"]}'},
        {"if-none-match": "*"},
        {"if-modified-since": before["last-modified"]},
    ):
        answer = await site.client.request(method, route, headers=told)
        assert (answer.status_code, answer.content) == (304, b"")
        assert {answer.headers[name] for name in ("etag", "last-modified", "cache-control")} == {
            before[name] for name in ("etag", "last-modified", "cache-control")
        }
        assert "content-length" not in answer.headers
    assert (await site.client.get(route, headers={"if-none-match": '"other"'})).status_code == 200
    assert (await site.client.get(route, headers={"if-match": '"other"'})).status_code == 412


@pytest.mark.parametrize("route", ROUTES)
async def test_a_part_is_sent_where_one_is_asked_for(site: Site, route: str) -> None:
    whole = await site.client.get(route)
    size = len(whole.content)
    for wanted, first, end in (("0-9", 0, 10), ("10-", 10, size), ("-7", size - 7, size)):
        answer = await site.client.get(route, headers={"range": f"bytes={wanted}", "if-range": whole.headers["etag"]})
        assert (answer.status_code, answer.content) == (206, whole.content[first:end])
        assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
        assert answer.headers["content-length"] == str(end - first)
    beyond = await site.client.get(route, headers={"range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert beyond.json()["type"] == "/problems/out-of-range"
    for told in ({"range": "bytes=0-1,3-4"}, {"range": "bytes=0-1", "if-range": '"other"'}):
        answer = await site.client.get(route, headers=told)
        assert (answer.status_code, answer.content) == (200, whole.content)
    assert (await site.client.head(route, headers={"range": "bytes=0-1"})).headers["content-length"] == str(size)


async def test_a_head_of_what_is_missing_makes_it_once_for_the_get(tmp_path: Path) -> None:
    def renders() -> float:
        return REGISTRY.get_sample_value("render_seconds_count", {"format": "png"}) or 0.0

    key = KEY.replace(".jpg", ".png")
    async with serving(tmp_path, delivery="stream") as site:
        (site.store / key).parent.mkdir(parents=True)
        paint(site.store / key, Photograph(width=480, height=360))
        before = renders()
        assert (await site.client.head(f"/img/{key}/medium")).status_code == 200
        assert (await site.client.get(f"/img/{key}/medium")).status_code == 200
    assert renders() == before + 1


async def test_what_is_known_and_was_deleted_meanwhile_is_made_again(own_site: Site) -> None:
    before = (await own_site.client.get(f"/img/{KEY}/small")).content
    for method in ("GET", "HEAD"):
        (own_site.store / SMALL).unlink()
        answer = await own_site.client.request(method, f"/img/{KEY}/small")
        assert answer.status_code == 200
    assert (await own_site.client.get(f"/img/{KEY}/small")).content == before


async def test_what_was_deleted_with_its_original_is_not_there(own_site: Site) -> None:
    for name in (SMALL, KEY):
        (own_site.store / name).unlink()
    answer = await own_site.client.get(f"/img/{KEY}/small")
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "public, max-age=30")


async def test_the_original_itself_is_sent_as_it_is(own_site: Site) -> None:
    answer = await own_site.client.get(f"/img/{KEY}/original")
    assert (answer.status_code, answer.content) == (200, (own_site.store / KEY).read_bytes())
    (own_site.store / KEY).unlink()
    assert (await own_site.client.get(f"/img/{KEY}/original")).status_code == 404


async def test_scripts_of_allowed_origins_may_read_and_caches_keep_them_apart(tmp_path: Path) -> None:
    async with serving(tmp_path, delivery="stream", cors_origins="https://gallformers.org") as site:
        site.upload()
        answer = await site.client.get(f"/img/{KEY}/small", headers={"origin": "https://gallformers.org"})
        assert answer.headers["access-control-allow-origin"] == "https://gallformers.org"
        assert "origin" in (await site.client.get(f"/img/{KEY}/small")).headers["vary"]


CHUNK = bytes(1000)


@dataclass
class TappedStore(MemoryStore):
    """A store of endless blobs that records how many chunks were read, and whether the blob is still open."""

    read: int = 0
    is_open: bool = False
    etag: str = "abc"
    breaks_after: int | None = None
    changes: int = 0
    """How many ranged reads fail because the blob was replaced."""

    async def head(self, key: str) -> Blob:
        return Blob(key=key, bytes=10**9, etag=self.etag, modified=datetime.now(UTC), attributes=Attributes())

    @asynccontextmanager
    async def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        if byte_range and self.changes:
            self.changes -= 1
            raise Changed("It was replaced.")
        self.is_open = True
        try:
            yield await self.head(key), self._chunks()
        finally:
            self.is_open = False

    async def _chunks(self) -> AsyncIterator[bytes]:
        while self.read != self.breaks_after:
            self.read += 1
            yield CHUNK
        raise StoreUnavailable("It broke off.")


@dataclass
class Client:
    """A client that receives `takes` messages, then stalls until it disconnects."""

    takes: int
    taken: list[Message] = field(default_factory=list)
    is_full: asyncio.Event = field(default_factory=asyncio.Event)
    is_gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message) -> None:
        if len(self.taken) == self.takes:
            self.is_full.set()
            await asyncio.Event().wait()
        self.taken.append(message)

    async def receive(self) -> Message:
        await self.is_gone.wait()
        return {"type": "http.disconnect"}

    def exchange(self, *headers: tuple[bytes, bytes], stall_seconds: float = DEADLINE_SECONDS) -> Exchange:
        scope = cast("Scope", {"type": "http", "method": "GET", "headers": [*headers]})
        return Exchange(scope, self.receive, self.send, stall_seconds=stall_seconds)  # type: ignore[arg-type] # as above


async def test_no_more_is_read_than_the_client_takes_and_nothing_once_it_is_gone() -> None:
    store, client = TappedStore(), Client(takes=5)
    async with asyncio.timeout(DEADLINE_SECONDS):
        sending = asyncio.create_task(client.exchange().answer(BlobReader(store), "a"))
        await client.is_full.wait()
        assert (store.read, store.is_open) == (5, True)  # headers and four chunks received, one chunk pending
        client.is_gone.set()
        await sending
    assert (store.read, store.is_open) == (5, False)


async def test_an_etag_that_cannot_be_quoted_is_left_out_of_the_headers() -> None:
    for etag, is_sent in (("abc", True), ('a"b', False), ("a\r\nx: y", False)):
        client = Client(takes=100)
        await client.exchange().answer(BlobReader(TappedStore(breaks_after=1, etag=etag)), "a")
        assert (b"etag" in dict(cast("Any", client.taken[0])["headers"])) is is_sent


async def test_a_client_that_stalls_gives_the_store_back() -> None:
    store, client = TappedStore(), Client(takes=2)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await client.exchange(stall_seconds=0.01).answer(BlobReader(store), "a")
    assert not store.is_open
    assert [event["event"] for event in logs] == ["stream_stalled"]


async def test_a_store_that_breaks_off_leaves_the_answer_unfinished_and_a_line_in_the_log() -> None:
    store, client = TappedStore(breaks_after=3), Client(takes=100)
    with structlog.testing.capture_logs() as logs:
        await client.exchange().answer(BlobReader(store), "a")
    assert len(client.taken) == 4
    assert all(message.get("more_body", True) for message in client.taken)
    assert [(event["event"], event["key"]) for event in logs] == [("stream_failed", "a")]


async def test_a_blob_that_was_replaced_after_the_look_is_looked_at_again() -> None:
    store, client = TappedStore(breaks_after=1, changes=1), Client(takes=100)
    await client.exchange((b"range", b"bytes=0-1999")).answer(BlobReader(store), "a")
    assert client.taken[0]["type"] == "http.response.start"
    assert client.taken[0]["status"] == 206
    store.changes = 2
    with pytest.raises(Changed):
        await Client(takes=100).exchange((b"range", b"bytes=0-1999")).answer(BlobReader(store), "a")


async def test_only_so_many_are_read_at_once_and_who_waits_too_long_is_told_when_to_come_back() -> None:
    store = TappedStore()
    reader = BlobReader(store, readers=1, timeouts=PageTimeouts(lookup_seconds=0.01))
    async with reader.open("a"):
        with pytest.raises(Busy) as busy:
            async with reader.open("b"):
                pass
    assert busy.value.retry_after_seconds > 0
    async with reader.open("b"):
        assert store.is_open
