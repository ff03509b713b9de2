"""Contract tests of the store that reads over public HTTP, also with write-only credentials."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

from proxy.derivatives.reader import BlobReader
from proxy.errors import NotFound, StoreRefused, StoreUnavailable, TooManyBytes
from proxy.keys.syntax import url
from proxy.stores.base import UNKNOWN_LENGTH, Attributes
from proxy.stores.memory import MemoryStore
from proxy.stores.origin.store import OriginConfig, OriginStore
from proxy.stores.retry import StoreRetryPolicy
from proxy.stores.s3.store import S3Store
from tests.proxy.stores.blobs import ATTRIBUTES, get, keys, put
from tests.proxy.stores.contract import StoreContract
from tests.proxy.stores.contract_keys import AWKWARD_KEYS
from tests.proxy.stores.fault_proxy import CALM, Fault, FaultProxy
from tests.proxy.stores.s3.test_store import emptied
from tests.proxy.stores.scripted import Scripted, answer
from tests.proxy.stores.seaweed import ADMIN, PUBLIC_BUCKET, WRITER, Seaweed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.stores.base import Store
    from proxy.stores.s3.config import Credentials

pytestmark = pytest.mark.anyio

BRIEF = StoreRetryPolicy(attempts=3, first_seconds=0.001)
PICTURE = answer(
    200,
    b"bytes",
    Content_Type="image/png",
    ETag='W/"abc"',
    Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT",
    x_amz_meta_Width="800",
)


@asynccontextmanager
async def public(weed: Seaweed, credentials: Credentials) -> AsyncIterator[OriginStore]:
    """Yield a store that reads anonymously and writes with `credentials`."""
    address = partial(url, f"{weed.url}/{PUBLIC_BUCKET}")
    store = OriginStore(address, S3Store(weed.bucket(PUBLIC_BUCKET), credentials))
    await store.start()
    try:
        yield store
    finally:
        await store.close()


class TestOnSeaweed(StoreContract):
    """The contract: writing and listing with credentials agrees with reading anonymously."""

    @staticmethod
    def sort_key(key: str) -> list[bytes]:
        """Return the segments of `key`, because SeaweedFS lists folder by folder."""
        return [segment.encode() for segment in key.split("/")]

    async def test_a_backslash_is_no_slash(self, store: Store, file: Path) -> None:
        """SeaweedFS treats a backslash as a slash."""
        await put(store, "a\\b", b"bytes", file)
        assert await keys(store) == ["a/b"]

    @pytest.fixture(scope="class")
    async def client(self, weed: Seaweed) -> AsyncIterator[OriginStore]:
        """Yield a started store."""
        async with public(weed, ADMIN) as store:
            yield store

    @pytest.fixture
    async def store(self, client: OriginStore) -> OriginStore:
        """Return an empty store."""
        return await emptied(client)


async def test_credentials_that_only_put_suffice(weed: Seaweed, tmp_path: Path) -> None:
    async with public(weed, WRITER) as store:
        await store.check()
        for key in AWKWARD_KEYS:
            await put(store, key, key.encode(), tmp_path / "file")
        for key in AWKWARD_KEYS:
            assert await get(store, key) == key.encode()
        head = await store.head("plain.jpg")
        assert head is not None
        assert head.attributes == ATTRIBUTES
        assert await store.head("nothing") is None
        assert await store.put_new("plain.jpg", tmp_path / "file", ATTRIBUTES) is None
        with pytest.raises(NotFound):
            await store.fetch("nothing", tmp_path / "copy", max_bytes=9)


@asynccontextmanager
async def reader(server: Scripted | FaultProxy, retry_policy: StoreRetryPolicy = BRIEF) -> AsyncIterator[OriginStore]:
    """Yield a store that reads from `server`."""
    store = OriginStore(partial(url, server.url), MemoryStore(), OriginConfig(read_seconds=1), retry_policy)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def test_what_the_headers_say_is_told() -> None:
    async with Scripted(PICTURE) as server, reader(server) as store:
        head = await store.head("a b+c")
        assert head is not None
        assert (head.bytes, head.etag, head.modified.isoformat()) == (5, "abc", "2024-01-01T00:00:00+00:00")
        assert head.attributes == Attributes(content_type="image/png", metadata={"width": "800"})
    (seen,) = server.seen
    assert (seen.method, seen.target, seen.headers["accept-encoding"]) == ("HEAD", "/a%20b%2Bc", "identity")


@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_not_there_is_a_miss_at_once(status: int) -> None:
    async with Scripted(answer(status)) as server, reader(server) as store:
        assert await store.head("a") is None
        assert [seen.method for seen in server.seen] == ["HEAD"]


@pytest.mark.parametrize("second", [403, 404])
async def test_a_forbidden_head_is_a_miss_when_a_get_says_so(second: int, tmp_path: Path) -> None:
    async with Scripted(answer(403), answer(second)) as server, reader(server) as store:
        assert await store.head("a") is None
        assert [seen.method for seen in server.seen] == ["HEAD", "GET"]
        with pytest.raises(NotFound):
            await store.fetch("a", tmp_path / "copy", max_bytes=9)


@pytest.mark.parametrize("status", [403, 405])
async def test_a_forbidden_head_is_a_hit_when_a_get_says_so(status: int) -> None:
    async with Scripted(answer(status), PICTURE) as server, reader(server) as store:
        assert await store.head("a") is not None


async def test_a_redirect_is_followed_on_the_same_host(tmp_path: Path) -> None:
    async with Scripted(answer(302, Location="/elsewhere"), PICTURE) as server, reader(server) as store:
        assert (await store.fetch("a", tmp_path / "copy", max_bytes=5)).etag == "abc"
        assert [seen.target for seen in server.seen] == ["/a", "/elsewhere"]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2/x",
        "//localhost/x",
        "http://127.0.0.1:1/x",
        "https://127.0.0.1/x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://[",
        "http://a:99999999/x",
    ],
)
async def test_a_redirect_to_another_host_is_refused(tmp_path: Path, location: str) -> None:
    async with Scripted(answer(302, Location=location)) as server, reader(server) as store:
        with pytest.raises(StoreRefused, match="ORIGINALS_BASE_URL"):
            await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "location",
    ["http://xn--/x", "http://127.0.0.1:port/x", "/\x01", "http://[::1", "http://\x7f"],
)
async def test_a_redirect_that_cannot_be_read_is_refused_at_once(tmp_path: Path, location: str) -> None:
    async with Scripted(answer(302, Location=location)) as server, reader(server) as store:
        for asked in (store.fetch("a", tmp_path / "copy", max_bytes=5), store.head("a")):
            with pytest.raises(StoreRefused, match="redirects to an invalid URL"):
                await asked
        assert len(server.seen) == 2


async def test_redirects_in_circles_are_refused(tmp_path: Path) -> None:
    async with Scripted(answer(302, Location="/a")) as server, reader(server) as store:
        with pytest.raises(StoreRefused, match="redirected more than 3 times"):
            await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert len(server.seen) == 4


@pytest.mark.parametrize(
    "said",
    [
        answer(401),
        answer(204),
        answer(206, b"byt"),
        answer(200, b"bytes", Content_Length=""),
        answer(200, b"bytes", Content_Encoding="gzip"),
    ],
)
async def test_what_is_no_plain_file_is_refused(said: bytes, tmp_path: Path) -> None:
    async with Scripted(said) as server, reader(server) as store:
        with pytest.raises(StoreRefused, match="plain file"):
            await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "said", [answer(500), answer(503), answer(429), b"nonsense\r\n\r\n", answer(200, b"byt", Content_Length="5")]
)
async def test_trouble_is_asked_about_again_and_nothing_half_is_left(said: bytes, tmp_path: Path) -> None:
    async with Scripted(said, said, PICTURE) as server, reader(server) as store:
        await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert (tmp_path / "copy").read_bytes() == b"bytes"
    async with Scripted(said) as server, reader(server) as store:
        with pytest.raises(StoreUnavailable):
            await store.fetch("a", tmp_path / "none", max_bytes=5)
        assert len(server.seen) == 3
        assert not (tmp_path / "none").exists()


CHUNKED = answer(
    200, b"3\r\nbyt\r\n2\r\nes\r\n0\r\n\r\n", Content_Length="", Transfer_Encoding="chunked", Content_Type="image/png"
)


async def test_an_original_in_chunks_is_fetched_and_its_length_is_what_arrived(tmp_path: Path) -> None:
    async with Scripted(CHUNKED) as server, reader(server) as store:
        head = await store.head("a")
        assert head is not None
        assert head.bytes == UNKNOWN_LENGTH
        blob = await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert (blob.bytes, blob.attributes.content_type) == (5, "image/png")
        assert (tmp_path / "copy").read_bytes() == b"bytes"


async def test_an_original_in_chunks_is_bounded(tmp_path: Path) -> None:
    async with Scripted(CHUNKED) as server, reader(server) as store:
        with pytest.raises(TooManyBytes, match="more than the limit of 4 bytes"):
            await store.fetch("a", tmp_path / "copy", max_bytes=4)
        assert not (tmp_path / "copy").exists()
        assert len(server.seen) == 1


async def test_chunks_that_break_off_are_asked_for_again(tmp_path: Path) -> None:
    broken = CHUNKED.removesuffix(b"0\r\n\r\n")
    async with Scripted(broken, CHUNKED) as server, reader(server) as store:
        assert (await store.fetch("a", tmp_path / "copy", max_bytes=5)).bytes == 5
        assert len(server.seen) == 2


async def test_the_md5_of_chunks_is_verified(tmp_path: Path) -> None:
    lie = CHUNKED.replace(b"Content-Type", b'ETag: "4b3a6218bb3e3a7303e8a171a60fcf92"\r\nContent-Type')
    async with Scripted(lie.replace(b"byt", b"BYT"), lie) as server, reader(server) as store:
        await store.fetch("a", tmp_path / "copy", max_bytes=5)
        assert (tmp_path / "copy").read_bytes() == b"bytes"


async def test_what_has_no_length_is_not_streamed() -> None:
    async with Scripted(CHUNKED) as server, reader(server) as store:
        with pytest.raises(StoreRefused, match="plain file"):
            async with store.open("a"):
                pass
        with pytest.raises(StoreRefused, match="no length"):
            await BlobReader(store).look("a")


async def test_too_many_bytes_are_not_read(tmp_path: Path) -> None:
    async with Scripted(answer(200, b"", Content_Length="99999999999")) as server, reader(server) as store:
        with pytest.raises(TooManyBytes):
            await store.fetch("a", tmp_path / "copy", max_bytes=5)


async def test_an_origin_that_stops_is_unavailable_in_time(weed: Seaweed, tmp_path: Path) -> None:
    hasty = StoreRetryPolicy(attempts=10, attempt_seconds=0.3, total_seconds=1)
    async with FaultProxy(weed.port) as proxy, reader(proxy, hasty) as store:
        proxy.fault = Fault(stopped=True)
        with anyio.fail_after(10), pytest.raises(StoreUnavailable, match="did not respond in time"):
            await store.fetch("a", tmp_path / "copy", max_bytes=5)
        proxy.fault = CALM


async def test_a_hundred_fetches_on_a_bad_day_end_well(weed: Seaweed, tmp_path: Path) -> None:
    body = bytes(range(256)) * 500
    async with public(weed, WRITER) as store:
        await put(store, "bad day", body, tmp_path / "file")
    patient = StoreRetryPolicy(attempts=14, longest_seconds=0.2)
    async with FaultProxy(weed.port) as proxy:
        store = OriginStore(partial(url, f"{proxy.url}/{PUBLIC_BUCKET}"), MemoryStore(), retry_policy=patient)
        await store.start()
        proxy.fault = Fault(errors=0.15, resets=0.15, cuts=0.15)

        async def fetch(number: int) -> None:
            path = tmp_path / str(number)
            await store.fetch("bad day", path, max_bytes=len(body))
            assert path.read_bytes() == body

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(fetch, number)
            await store.close()
            await proxy.until_connections(0)
        assert proxy.struck > 10
