"""Helpers that open stores on buckets."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from proxy.stores.retry import StoreRetryPolicy
from proxy.stores.s3.config import BucketConfig, Credentials
from proxy.stores.s3.store import S3Store
from tests.proxy.stores.seaweed import ADMIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.proxy.stores.scripted import Scripted

BRIEF = StoreRetryPolicy(attempts=3, first_seconds=0.001)


@asynccontextmanager
async def opened(bucket: BucketConfig, credentials: Credentials | None = ADMIN) -> AsyncIterator[S3Store]:
    """Yield a started store, which is closed at the end of the block."""
    store = S3Store(bucket, credentials, BRIEF)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def at(server: Scripted) -> BucketConfig:
    """Return the configuration of a bucket on a scripted server."""
    return BucketConfig(name="images", endpoint_url=server.url, region="us-east-1", addressing="path")
