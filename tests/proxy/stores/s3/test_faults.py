"""Tests of injected faults: every put and fetch succeeds or raises a clear error, and nothing leaks."""

# ruff: noqa: PT012 - the last step of a stream raises

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.base import Attributes
from proxy.stores.retry import StoreRetryPolicy
from proxy.stores.s3.store import S3Store
from tests.held import descriptors, resident_bytes
from tests.proxy.stores.fault_proxy import CALM, Fault, FaultProxy
from tests.proxy.stores.seaweed import ADMIN, Seaweed
from tests.thorough import count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

BLOBS = count(200, otherwise=60)
CONNECTIONS = 50
MAX_GROWTH_BYTES = 24 * 1024 * 1024
DEADLINE_SECONDS = 90
ATTRIBUTES = Attributes(content_type="image/jpeg", metadata={"width": "800"})
RETRY_POLICY = StoreRetryPolicy(attempts=14, longest_seconds=0.5, attempt_seconds=20, total_seconds=60)


@pytest.fixture
async def proxy(weed: Seaweed) -> AsyncIterator[FaultProxy]:
    """Yield a proxy in front of SeaweedFS."""
    async with FaultProxy(weed.port) as proxy:
        yield proxy


@pytest.fixture
async def store(weed: Seaweed, proxy: FaultProxy) -> AsyncIterator[S3Store]:
    """Yield a store that connects through the proxy."""
    store = S3Store(weed.bucket(url=proxy.url, connections=CONNECTIONS, read_seconds=4), ADMIN, RETRY_POLICY)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def body_of(number: int) -> bytes:
    """Return the bytes of a blob: different for each number, and too long for one packet."""
    return hashlib.sha256(str(number).encode()).digest() * (100 + 17 * number)


async def put_all(store: S3Store, folder: Path) -> None:
    """Put every blob at once, limited only by the connection pool."""

    async def put(number: int) -> None:
        path = folder / f"put-{number}"
        path.write_bytes(body_of(number))
        await store.put(f"faults/{number}", path, ATTRIBUTES)

    async with anyio.create_task_group() as tasks:
        for number in range(BLOBS):
            tasks.start_soon(put, number)


async def fetch_all(store: S3Store, folder: Path) -> None:
    """Fetch every blob and compare it with what was put."""

    async def fetch(number: int) -> None:
        path = folder / f"fetched-{number}"
        blob = await store.fetch(f"faults/{number}", path, max_bytes=1_000_000)
        assert path.read_bytes() == body_of(number)
        assert blob.attributes == ATTRIBUTES
        path.unlink()

    async with anyio.create_task_group() as tasks:
        for number in range(BLOBS):
            tasks.start_soon(fetch, number)


FAULTS = {
    "calm": CALM,
    "latency of 2 s": Fault(latency_seconds=2),
    "30 % errors": Fault(errors=0.3),
    "30 % reset": Fault(resets=0.3),
    "30 % cut short": Fault(cuts=0.3),
    "30 % shortened without a trace": Fault(lies=0.3),
    "a little of all": Fault(latency_seconds=0.05, errors=0.1, resets=0.1, cuts=0.1, lies=0.1, garbles=0.1),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_every_put_and_fetch_ends_well(
    store: S3Store, proxy: FaultProxy, weed: Seaweed, tmp_path: Path, fault: Fault
) -> None:
    with anyio.fail_after(DEADLINE_SECONDS):
        await put_all(store, tmp_path)
        await fetch_all(store, tmp_path)
        before = resident_bytes()
        proxy.fault = fault
        await put_all(store, tmp_path)
        await fetch_all(store, tmp_path)
        assert resident_bytes() - before < MAX_GROWTH_BYTES
        assert proxy.connections <= CONNECTIONS
        assert (proxy.struck > 0) == bool(fault.errors or fault.resets or fault.cuts or fault.lies or fault.garbles)
        proxy.fault = CALM
        assert len([blob async for blob in store.list("faults/")]) == BLOBS


async def test_no_connection_and_no_open_file_is_left_behind(weed: Seaweed, tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE_SECONDS):
        before = descriptors()
        async with FaultProxy(weed.port) as proxy:
            store = S3Store(weed.bucket(url=proxy.url, connections=CONNECTIONS), ADMIN, RETRY_POLICY)
            await store.start()
            proxy.fault = Fault(errors=0.1, resets=0.1, cuts=0.1, lies=0.1)
            await put_all(store, tmp_path)
            await fetch_all(store, tmp_path)
            await store.close()
            await proxy.until_connections(0)
        while descriptors() > before:
            await anyio.lowlevel.checkpoint()  # the event loop releases closed sockets in its next iterations


async def test_a_store_that_stops_for_a_while_is_waited_for(store: S3Store, proxy: FaultProxy, tmp_path: Path) -> None:
    with anyio.fail_after(DEADLINE_SECONDS):
        proxy.fault = Fault(stopped=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(put_all, store, tmp_path)
            await proxy.until_seen(CONNECTIONS + 10)  # so some requests have timed out and were retried
            proxy.fault = CALM
        await fetch_all(store, tmp_path)


async def test_a_store_that_stays_stopped_is_unavailable_in_time(
    weed: Seaweed, proxy: FaultProxy, tmp_path: Path
) -> None:
    short = StoreRetryPolicy(attempts=10, attempt_seconds=0.3, total_seconds=1)
    store = S3Store(weed.bucket(url=proxy.url), ADMIN, short)
    await store.start()
    (tmp_path / "file").write_bytes(b"bytes")
    proxy.fault = Fault(stopped=True)
    with anyio.fail_after(10):
        for asked in (
            store.head("a"),
            store.put("a", tmp_path / "file", ATTRIBUTES),
            store.fetch("a", tmp_path / "copy", max_bytes=9),
            store.delete("a"),
            store.check(),
        ):
            with pytest.raises(StoreUnavailable, match="did not respond in time"):
                await asked
    assert not (tmp_path / "copy").exists()
    await store.close()


async def test_a_server_that_is_not_there_is_unavailable(weed: Seaweed, proxy: FaultProxy) -> None:
    store = S3Store(weed.bucket(url=proxy.url), ADMIN, StoreRetryPolicy(attempts=2, first_seconds=0.01))
    await store.start()
    await proxy.__aexit__(None, None, None)
    with pytest.raises(StoreUnavailable, match="is unreachable"):
        await store.head("a")
    await store.close()


@pytest.mark.parametrize("fault", [Fault(cuts=1), Fault(lies=1), Fault(resets=1)], ids=repr)
async def test_what_never_arrives_whole_is_refused_and_leaves_no_file(
    weed: Seaweed, proxy: FaultProxy, tmp_path: Path, fault: Fault
) -> None:
    store = S3Store(weed.bucket(url=proxy.url), ADMIN, StoreRetryPolicy(attempts=3, first_seconds=0.01))
    await store.start()
    (tmp_path / "file").write_bytes(b"bytes" * 100_000)
    await store.put("a", tmp_path / "file", ATTRIBUTES)
    proxy.fault = fault
    seen = len(proxy.seen)
    with pytest.raises(StoreUnavailable):
        await store.fetch("a", tmp_path / "copy", max_bytes=1_000_000)
    assert len(proxy.seen) == seen + 3
    assert not (tmp_path / "copy").exists()
    with pytest.raises(StoreUnavailable):
        async with store.open("a") as (_, chunks):
            async for _ in chunks:
                pass
    await store.close()


async def test_a_put_that_fails_leaves_the_old_blob(
    store: S3Store, proxy: FaultProxy, weed: Seaweed, tmp_path: Path
) -> None:
    impatient = S3Store(weed.bucket(url=proxy.url), ADMIN, StoreRetryPolicy(attempts=2, first_seconds=0.01))
    await impatient.start()
    (tmp_path / "old").write_bytes(b"old" * 100_000)
    (tmp_path / "new").write_bytes(b"new" * 100_000)
    await impatient.put("a", tmp_path / "old", ATTRIBUTES)
    proxy.fault = Fault(resets=1)
    with pytest.raises(StoreUnavailable):
        await impatient.put("a", tmp_path / "new", ATTRIBUTES)
    proxy.fault = CALM
    await impatient.fetch("a", tmp_path / "copy", max_bytes=1_000_000)
    assert (tmp_path / "copy").read_bytes() == b"old" * 100_000
    assert {seen.method for seen in proxy.seen} == {"PUT", "GET"}
    await impatient.close()
