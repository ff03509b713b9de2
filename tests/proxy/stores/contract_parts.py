"""Contract tests of byte ranges."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from proxy.errors import NotFound
from proxy.stores.ranges import ByteRange, Changed
from tests.proxy.stores.blobs import ATTRIBUTES, get, put

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.stores.base import Store


@pytest.mark.anyio
class PartsContract:
    """The tests of byte ranges that every store passes."""

    @pytest.mark.parametrize(("first", "end"), [(0, 1), (0, 10), (3, 7), (9, 10)])
    async def test_a_part_is_those_bytes_beside_what_is_told_of_the_whole(
        self, store: Store, file: Path, first: int, end: int
    ) -> None:
        blob = await put(store, "a/b.jpg", b"0123456789", file)
        async with store.open("a/b.jpg", ByteRange(first=first, end=end, etag=blob.etag)) as (told, chunks):
            assert told == await store.head("a/b.jpg")
            assert (told.bytes, told.attributes) == (10, ATTRIBUTES)
            assert b"".join([chunk async for chunk in chunks]) == b"0123456789"[first:end]

    async def test_a_large_part_comes_in_pieces(self, store: Store, file: Path) -> None:
        body = os.urandom(3_000_000)
        blob = await put(store, "a", body, file)
        async with store.open("a", ByteRange(first=1_000_001, end=2_999_999, etag=blob.etag)) as (_, chunks):
            pieces = [chunk async for chunk in chunks]
        assert b"".join(pieces) == body[1_000_001:2_999_999]
        assert max(map(len, pieces)) <= 1024 * 1024

    @pytest.mark.parametrize("now", [b"9876543210", b"012"])
    async def test_no_part_is_given_of_another_blob_than_was_meant(self, store: Store, file: Path, now: bytes) -> None:
        before = await put(store, "a", b"0123456789", file)
        await put(store, "a", now, file)
        with pytest.raises(Changed):
            async with store.open("a", ByteRange(first=5, end=10, etag=before.etag)):
                pass

    async def test_nothing_has_no_part(self, store: Store) -> None:
        with pytest.raises(NotFound):
            async with store.open("nothing", ByteRange(first=0, end=1, etag="abc")):
                pass

    async def test_a_part_left_half_read_disturbs_nobody(self, store: Store, file: Path) -> None:
        blob = await put(store, "a", os.urandom(3_000_000), file)
        for _ in range(30):
            async with store.open("a", ByteRange(first=1, end=2_900_000, etag=blob.etag)) as (_, chunks):
                assert await anext(aiter(chunks))
        assert len(await get(store, "a")) == 3_000_000
