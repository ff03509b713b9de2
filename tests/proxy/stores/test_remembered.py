"""What is remembered of blobs, for how long, and in how much memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from proxy.concurrency.backoff import JITTER
from proxy.stores.base import Attributes, Blob
from proxy.stores.remembered import LARGEST_PART, OWN_BYTES, Reading, RememberedBlobs
from tests.proxy.concurrency.test_ttl_cache import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

ROOM_BYTES = 64_000
MOST_BYTES = ROOM_BYTES // LARGEST_PART
SECONDS = 60.0


def a_blob(size: int, *, key: str = "a", etag: str = "1") -> Blob:
    return Blob(key=key, bytes=size, etag=etag, modified=datetime.now(UTC), attributes=Attributes())


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(remembered: RememberedBlobs, blob: Blob, *parts: bytes, evict: bool = False) -> bytes:
    with remembered.reading(blob.key) as reading:
        if evict:
            remembered.evict(blob.key)
        return b"".join([part async for part in remembered.collected(blob, chunks(*parts), reading)])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remembered(clock: Clock) -> RememberedBlobs:
    return RememberedBlobs(room_bytes=ROOM_BYTES, seconds=SECONDS, clock=clock)


async def test_what_was_read_is_remembered_for_a_while(remembered: RememberedBlobs, clock: Clock) -> None:
    blob = a_blob(4)
    assert await read(remembered, blob, b"ab", b"cd") == b"abcd"
    found = remembered.get("a")
    assert found is not None
    assert (found.blob, found.body) == (blob, b"abcd")
    clock.now += SECONDS * (1 + JITTER)
    assert remembered.get("a") is None


async def test_of_a_large_blob_only_the_attributes_are_remembered(remembered: RememberedBlobs) -> None:
    for size, body in ((MOST_BYTES, bytes(MOST_BYTES)), (MOST_BYTES + 1, None)):
        await read(remembered, a_blob(size), bytes(size))
        found = remembered.get("a")
        assert found is not None
        assert found.body == body


async def test_a_lookup_keeps_the_bytes_of_the_same_blob_and_drops_those_of_another(
    remembered: RememberedBlobs,
) -> None:
    blob = a_blob(4)
    await read(remembered, blob, b"abcd")
    remembered.put(blob, None, Reading())
    found = remembered.get("a")
    assert found is not None
    assert found.body == b"abcd"
    remembered.put(a_blob(4, etag="2"), None, Reading())
    found = remembered.get("a")
    assert found is not None
    assert (found.blob.etag, found.body) == ("2", None)


async def test_a_read_that_an_eviction_overtakes_is_not_remembered(remembered: RememberedBlobs) -> None:
    assert await read(remembered, a_blob(4), b"abcd", evict=True) == b"abcd"
    assert remembered.get("a") is None
    await read(remembered, a_blob(4), b"abcd")
    assert remembered.get("a") is not None


async def test_a_read_that_breaks_off_is_not_remembered(remembered: RememberedBlobs) -> None:
    await read(remembered, a_blob(4), b"ab")
    assert remembered.get("a") is None


async def test_the_memory_has_a_bound(remembered: RememberedBlobs) -> None:
    for number in range(100):
        await read(remembered, a_blob(1000, key=str(number)), bytes(1000))
    kept = [number for number in range(100) if remembered.get(str(number))]
    assert kept == list(range(100 - ROOM_BYTES // (OWN_BYTES + 1000), 100))


async def test_without_room_nothing_is_remembered() -> None:
    remembered = RememberedBlobs(room_bytes=0, seconds=SECONDS)
    await read(remembered, a_blob(0))
    remembered.put(a_blob(0), None, Reading())
    assert remembered.get("a") is None
