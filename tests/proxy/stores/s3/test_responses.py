"""Tests of invalid responses from a bucket: each raises an error and leaks nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import pytest

from proxy.errors import StoreRefused, StoreUnavailable, TooManyBytes
from proxy.stores.base import UNKNOWN_LENGTH
from proxy.stores.retry import StoreRetryPolicy
from proxy.stores.s3.config import BucketConfig
from proxy.stores.s3.session import MAX_ANSWER_BYTES, MAX_ERROR_BYTES
from proxy.stores.s3.store import S3Store
from tests.proxy.stores.blobs import ATTRIBUTES
from tests.proxy.stores.s3.s3_stores import at, opened
from tests.proxy.stores.scripted import Scripted, answer
from tests.proxy.stores.seaweed import ADMIN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
BODY = bytes(1 << 20)
ONCE = StoreRetryPolicy(attempts=1, attempt_seconds=3)
CHUNK_BYTES = 64 * 1024
UNDERWAY_BYTES = 10 << 20
"""More bytes than the socket buffers of both ends hold."""

STRANGE = {
    "no ETag": answer(200, BODY, Last_Modified=DATE),
    "no date": answer(200, BODY, ETag='"a"'),
}


@pytest.mark.parametrize("said", STRANGE.values(), ids=STRANGE.keys())
async def test_an_answer_that_lacks_something_is_trouble_and_gives_its_connection_back(
    said: bytes, tmp_path: Path
) -> None:
    async with Scripted(said) as server:
        store = S3Store(replace(at(server), connections=1), ADMIN, ONCE)
        await store.start()
        with anyio.fail_after(10):
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match=r"lacks|invalid response"):
                    await store.fetch("a", tmp_path / "copy", max_bytes=len(BODY))
            with pytest.raises(StoreUnavailable, match=r"lacks|invalid response"):
                await store.head("a")
        await store.close()
        assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"<Size>5</Size><ETag>a</ETag>",
        b"<Size>5</Size><ETag>a</ETag><LastModified>+36812-02-20T00:36:16.000Z</LastModified>",
        b"<Size>5</Size><ETag>a</ETag><LastModified>99999999999999</LastModified>",
        b"<Size>5</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>",
    ],
)
async def test_an_entry_of_a_listing_that_lacks_something_does_not_end_it(entry: bytes) -> None:
    well = b"<Key>b</Key><Size>5</Size><ETag>b</ETag><LastModified>2026-01-01T00:00:00Z</LastModified>"
    entries = b"".join(b"<Contents>" + one + b"</Contents>" for one in (b"<Key>a</Key>" + entry, well))
    listing = b"<ListBucketResult>" + entries + b"</ListBucketResult>"
    async with Scripted(answer(200, listing)) as server, opened(at(server)) as store:
        assert [blob.key async for blob in store.list()] == ["a", "b"]


async def test_a_listing_without_a_token_is_trouble() -> None:
    listing = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    async with Scripted(answer(200, listing)) as server, opened(at(server)) as store:
        with pytest.raises(StoreUnavailable):
            await anext(aiter(store.list()))


async def test_a_date_that_is_none_is_taken_for_now() -> None:
    said = answer(200, b"x", ETag='"a"', Last_Modified="yesterday")
    async with Scripted(said) as server, opened(at(server)) as store:
        blob = await store.head("a")
        assert blob is not None
        assert abs(datetime.now(UTC) - blob.modified) < timedelta(minutes=1)


@pytest.mark.parametrize("name", ["Content_Type", "Cache_Control"])
async def test_a_header_that_no_response_can_send_is_left_out(name: str) -> None:
    said = answer(200, b"x", ETag='"a"', Last_Modified=DATE, **{name: "image/jp\u00e9g"})
    async with Scripted(said) as server, opened(at(server)) as store:
        blob = await store.head("a")
        assert blob is not None
        assert (blob.attributes.content_type, blob.attributes.cache_control) == ("application/octet-stream", None)


def chunked(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    return answer(200, chunk + end, ETag='"a"', Last_Modified=DATE, Content_Length="", Transfer_Encoding="chunked")


async def test_an_original_in_chunks_is_fetched_up_to_a_limit(tmp_path: Path) -> None:
    async with Scripted(chunked(b"bytes")) as server, opened(at(server)) as store:
        head = await store.head("a")
        assert head is not None
        assert head.bytes == UNKNOWN_LENGTH
        assert (await store.fetch("a", tmp_path / "copy", max_bytes=5)).bytes == 5
        assert (tmp_path / "copy").read_bytes() == b"bytes"
        with pytest.raises(TooManyBytes):
            await store.fetch("a", tmp_path / "none", max_bytes=4)
        assert not (tmp_path / "none").exists()


async def test_chunks_that_break_off_are_trouble(tmp_path: Path) -> None:
    async with Scripted(chunked(b"bytes", end=b"")) as server, opened(at(server)) as store:
        with pytest.raises(StoreUnavailable):
            await store.fetch("a", tmp_path / "none", max_bytes=5)
        assert not (tmp_path / "none").exists()


async def test_a_put_that_is_not_confirmed_is_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    async with Scripted(answer(200)) as server, opened(at(server)) as store:
        with pytest.raises(StoreUnavailable, match="ETag"):
            await store.put("a", tmp_path / "file", ATTRIBUTES)


async def test_nothing_is_sent_where_a_redirect_leads(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    credentials = replace(ADMIN, session_token="a-token")
    async with Scripted(answer(200, b"x", ETag='"a"', Last_Modified=DATE)) as other:
        elsewhere = answer(307, Location=f"http://localhost:{other.port}/k")
        async with Scripted(elsewhere) as server, opened(at(server), credentials) as store:
            for asked in (
                store.put("k", tmp_path / "file", ATTRIBUTES),
                store.put_new("k", tmp_path / "file", ATTRIBUTES),
                store.fetch("k", tmp_path / "copy", max_bytes=9),
                store.head("k"),
            ):
                with pytest.raises(StoreRefused, match="S3_ENDPOINT_URL"):
                    await asked
        assert other.seen == []


async def test_a_redirect_to_itself_costs_one_request(tmp_path: Path) -> None:
    async with Scripted(answer(307, Location="/images/k")) as server, opened(at(server)) as store:
        with pytest.raises(StoreRefused):
            await store.fetch("k", tmp_path / "copy", max_bytes=9)
        assert len(server.seen) == 1


@pytest.mark.parametrize(("status", "most"), [(500, MAX_ERROR_BYTES), (403, MAX_ERROR_BYTES), (200, MAX_ANSWER_BYTES)])
async def test_an_endless_answer_is_left_before_it_fills_the_memory(status: int, most: int) -> None:
    sent_bytes = 0

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent_bytes
        with suppress(ConnectionError):
            writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: 2000000000\r\n\r\n" % status)
            while True:
                writer.write(bytes(CHUNK_BYTES))
                await writer.drain()
                sent_bytes += CHUNK_BYTES
        writer.transport.abort()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        store = S3Store(
            BucketConfig(name="images", endpoint_url=endpoint, region="us-east-1", addressing="path"), ADMIN, ONCE
        )
        await store.start()
        with pytest.raises(StoreUnavailable, match="the connection failed"):
            await anext(aiter(store.list()))
        await store.close()
    assert most - UNDERWAY_BYTES < sent_bytes < most + UNDERWAY_BYTES
