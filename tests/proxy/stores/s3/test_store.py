"""Contract tests of the bucket store, on a simulated S3 and on a real server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio
import pytest

from proxy.stores.s3.config import BucketConfig, Credentials
from proxy.stores.s3.store import S3Store
from tests.proxy.stores.blobs import ATTRIBUTES, keys, put
from tests.proxy.stores.contract import StoreContract
from tests.proxy.stores.s3 import simulated
from tests.proxy.stores.seaweed import ADMIN, Seaweed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.stores.base import Store

S = TypeVar("S", bound="Store")

moto = simulated.moto

ANYBODY = Credentials(access_key_id="anybody", secret_access_key="anything")


@asynccontextmanager
async def connected(bucket: BucketConfig, credentials: Credentials) -> AsyncIterator[S3Store]:
    """Yield a started store, which is closed at the end of the block."""
    store = S3Store(bucket, credentials)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def emptied(store: S) -> S:
    """Delete all blobs of `store` and return it."""
    limiter = anyio.CapacityLimiter(10)

    async def remove(key: str) -> None:
        async with limiter:
            await store.delete(key)

    async with anyio.create_task_group() as tasks:
        async for blob in store.list():
            tasks.start_soon(remove, blob.key)
    return store


class TestOnSimulatedS3(StoreContract):
    """The contract, on moto."""

    @pytest.fixture(scope="class")
    async def client(self, moto: BucketConfig) -> AsyncIterator[S3Store]:
        """Yield a started store."""
        async with connected(moto, ANYBODY) as store:
            yield store

    @pytest.fixture
    async def store(self, client: S3Store) -> S3Store:
        """Return an empty store."""
        return await emptied(client)


class TestOnSeaweed(StoreContract):
    """The contract, on SeaweedFS, which has folders."""

    @staticmethod
    def sort_key(key: str) -> list[bytes]:
        """Return the segments of `key`, because SeaweedFS lists folder by folder."""
        return [segment.encode() for segment in key.split("/")]

    async def test_a_backslash_is_no_slash(self, store: Store, file: Path) -> None:
        """SeaweedFS treats a backslash as a slash; this test will fail when that is fixed."""
        await put(store, "a\\b", b"bytes", file)
        assert await keys(store) == ["a/b"]

    async def test_a_folder_that_a_deleted_blob_left_is_no_blob(self, store: Store, file: Path) -> None:
        """SeaweedFS returns 412 for a first write to the name of such a folder."""
        await put(store, "folder/b/c", b"bytes", file)
        await store.delete("folder/b/c")
        assert await store.put_new("folder/b", file, ATTRIBUTES) is not None

    @pytest.fixture(scope="class")
    async def client(self, weed: Seaweed) -> AsyncIterator[S3Store]:
        """Yield a started store."""
        async with connected(weed.bucket(), ADMIN) as store:
            yield store

    @pytest.fixture
    async def store(self, client: S3Store) -> S3Store:
        """Return an empty store."""
        return await emptied(client)
