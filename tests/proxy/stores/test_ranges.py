"""Tests of byte ranges: parsing, and extraction from responses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as some

from proxy.errors import StoreUnavailable
from proxy.keys.syntax import url
from proxy.stores.memory import MemoryStore
from proxy.stores.origin.store import OriginStore
from proxy.stores.ranges import ByteRange, Changed, ContentRange, cut, parse_content_range
from tests.proxy.stores.scripted import Scripted, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

BODY = b"0123456789"
PART = ByteRange(first=2, end=5, etag="abc")


async def flowing(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@given(lengths=some.lists(some.integers(0, 4)), first=some.integers(0, 9), length=some.integers(1, 10))
def test_a_part_is_cut_out_of_a_whole_wherever_its_chunks_end(lengths: list[int], first: int, length: int) -> None:
    ends = [sum(lengths[:number]) for number in range(len(lengths) + 1)]
    chunks = [BODY[start:end] for start, end in zip(ends, [*ends[1:], len(BODY)], strict=True)]
    byte_range = ByteRange(first=first, end=min(first + length, len(BODY)), etag="abc")

    async def read() -> bytes:
        return b"".join([piece async for piece in cut(flowing(chunks), byte_range, None)])

    assert anyio.run(read) == BODY[byte_range.first : byte_range.end]


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("bytes 0-9/10", ContentRange(0, 10, 10)),
        ("bytes 2-4/10", ContentRange(2, 5, 10)),
        ("bytes 2-4/*", None),
        ("bytes */10", None),
        ("items 2-4/10", None),
        ("", None),
        ("bytes 2-4/" + "9" * 99, None),
    ],
)
def test_what_a_content_range_tells(told: str, meant: ContentRange | None) -> None:
    assert parse_content_range(told) == meant


async def read_part(said: bytes) -> bytes:
    async with Scripted(said) as server:
        store = OriginStore(partial(url, server.url), MemoryStore())
        await store.start()
        try:
            async with store.open("a", PART) as (blob, chunks):
                assert blob.bytes == len(BODY)
                read = b"".join([chunk async for chunk in chunks])
            assert server.seen[0].headers["range"] == "bytes=2-4"
            assert len(server.seen) == 1
            return read
        finally:
            await store.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "said",
    [
        answer(206, b"234", ETag='"abc"', Content_Range="bytes 2-4/10"),
        answer(200, BODY, ETag='"abc"'),
    ],
    ids=["the part", "the whole"],
)
async def test_an_origin_may_send_the_part_or_the_whole(said: bytes) -> None:
    assert await read_part(said) == b"234"


@pytest.mark.anyio
async def test_another_part_than_was_asked_for_is_not_passed_on() -> None:
    with pytest.raises(StoreUnavailable, match="another range"):
        await read_part(answer(206, b"345", ETag='"abc"', Content_Range="bytes 3-5/10"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "said",
    [
        answer(416, Content_Range="bytes */1"),
        answer(206, b"234", ETag='"other"', Content_Range="bytes 2-4/10"),
        answer(200, BODY, ETag='"other"'),
    ],
)
async def test_an_origin_that_has_another_blob_by_now_is_not_asked_again(said: bytes) -> None:
    with pytest.raises(Changed):
        await read_part(said)
