"""A bucket behind a public cache: what is looked up where, and what browsers get afterwards."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from proxy.errors import NotFound, StoreRefused, StoreUnavailable
from proxy.keys.layouts import SiteLayout, is_original
from proxy.keys.syntax import url
from proxy.stores.base import Attributes
from proxy.stores.origin.bucket_first import ASK_AGAIN_SECONDS, BucketFirstStore
from proxy.stores.origin.store import NO_KEY
from proxy.stores.retry import StoreRetryPolicy
from tests.proxy.conftest import ORIGINAL, CountingStore, open_derivatives
from tests.proxy.stores.scripted import Scripted, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.errors import ImagesError
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob

pytestmark = pytest.mark.anyio

SMALL = "gall/58/58_1_small.jpg"
MISSING = answer(404)
PICTURE = answer(200, b"bytes", Content_Type="image/jpeg", ETag='"abc"')
PAGE = answer(200, b"<!doctype html>", Content_Type="text/html")
BRIEF = StoreRetryPolicy(attempts=2, first_seconds=0.001)


class Bucket(CountingStore):
    """A bucket whose reads raise `trouble`, if it is set."""

    def __init__(self, trouble: ImagesError | None = None) -> None:
        super().__init__(Counter())
        self.trouble = trouble

    async def head(self, key: str) -> Blob | None:
        blob = await super().head(key)
        if self.trouble:
            raise self.trouble
        return blob

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        if self.trouble:
            raise self.trouble
        return await super().fetch(key, path, max_bytes=max_bytes)


class Clock:
    """A clock in seconds that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def behind(
    server: Scripted, bucket: Bucket, *, is_seen_by_browsers: bool, clock: Clock | None = None
) -> AsyncIterator[BucketFirstStore]:
    """Yield a started store that reads `bucket`, or `server` where it may."""
    store = BucketFirstStore(
        partial(url, server.url),
        bucket,
        retry_policy=BRIEF,
        is_original=partial(is_original, SiteLayout(sizes=("small",))),
        is_seen_by_browsers=is_seen_by_browsers,
        clock=clock or Clock(),
    )
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def asked(server: Scripted) -> list[str]:
    return [seen.target.lstrip("/") for seen in server.seen]


@pytest.mark.parametrize("is_seen", [False, True])
async def test_what_is_in_the_bucket_is_read_there(tmp_path: Path, *, is_seen: bool) -> None:
    bucket = Bucket()
    (tmp_path / "file").write_bytes(b"of the bucket")
    await bucket.put(SMALL, tmp_path / "file", Attributes())
    async with Scripted(PICTURE) as server, behind(server, bucket, is_seen_by_browsers=is_seen) as store:
        head = await store.head(SMALL)
        assert head is not None
        await store.fetch(SMALL, tmp_path / "copy", max_bytes=99)
        assert (tmp_path / "copy").read_bytes() == b"of the bucket"
        async with store.open(SMALL) as (_, chunks):
            assert b"".join([chunk async for chunk in chunks]) == b"of the bucket"
        assert asked(server) == []


@pytest.mark.parametrize("is_seen", [False, True])
async def test_a_derivative_is_never_looked_up_where_a_cache_could_keep_its_absence(*, is_seen: bool) -> None:
    async with Scripted(MISSING) as server, behind(server, Bucket(), is_seen_by_browsers=is_seen) as store:
        assert await store.head(SMALL) is None
        assert asked(server) == []


async def test_a_missing_original_is_not_looked_up_where_browsers_read(tmp_path: Path) -> None:
    async with Scripted(MISSING) as server, behind(server, Bucket(), is_seen_by_browsers=True) as store:
        for _ in range(3):
            assert await store.head(ORIGINAL) is None
            with pytest.raises(NotFound):
                await store.fetch(ORIGINAL, tmp_path / "copy", max_bytes=9)
            with pytest.raises(NotFound):
                async with store.open(ORIGINAL):
                    pass
        assert asked(server) == [NO_KEY]


async def test_an_original_may_lie_at_an_origin_that_browsers_do_not_read(tmp_path: Path) -> None:
    async with Scripted(PICTURE) as server, behind(server, Bucket(), is_seen_by_browsers=False) as store:
        assert await store.head(ORIGINAL) is not None
        await store.fetch(ORIGINAL, tmp_path / "copy", max_bytes=9)
        assert (tmp_path / "copy").read_bytes() == b"bytes"
        async with store.open(ORIGINAL) as (_, chunks):
            assert b"".join([chunk async for chunk in chunks]) == b"bytes"
        assert {*asked(server)} == {ORIGINAL}


async def test_an_original_may_lie_at_an_origin_that_never_returns_404() -> None:
    async with Scripted(PAGE) as server, behind(server, Bucket(), is_seen_by_browsers=True) as store:
        assert await store.head(ORIGINAL) is not None
        assert await store.head(ORIGINAL) is not None
        assert asked(server) == [NO_KEY, ORIGINAL, ORIGINAL]


async def test_credentials_that_cannot_read_do_not_start_where_browsers_read() -> None:
    async with Scripted(PICTURE) as server:
        with pytest.raises(StoreRefused, match=r"^ORIGINALS_BASE_URL: .*the bucket said no.*s3:ListBucket"):
            async with behind(server, Bucket(StoreRefused("the bucket said no.")), is_seen_by_browsers=True):
                pass
        assert asked(server) == []


async def test_a_bucket_that_is_away_at_the_start_is_asked_again_and_the_cache_is_not() -> None:
    bucket = Bucket(StoreUnavailable("away"))
    async with Scripted(PICTURE) as server, behind(server, bucket, is_seen_by_browsers=True) as store:
        with pytest.raises(StoreUnavailable, match="away"):
            await store.head(SMALL)
        bucket.trouble = StoreRefused("may not read")
        with pytest.raises(StoreRefused, match="may not read"):
            await store.head(SMALL)
        bucket.trouble = None
        assert await store.head(SMALL) is None
        assert asked(server) == []


async def test_credentials_that_cannot_read_are_asked_for_once_in_a_while_elsewhere(tmp_path: Path) -> None:
    bucket, clock = Bucket(StoreRefused("may not read")), Clock()
    async with Scripted(PICTURE) as server, behind(server, bucket, is_seen_by_browsers=False, clock=clock) as store:
        for _ in range(3):
            assert await store.head(SMALL) is not None
        await store.fetch(SMALL, tmp_path / "copy", max_bytes=9)
        async with store.open(SMALL) as (_, chunks):
            assert b"".join([chunk async for chunk in chunks]) == b"bytes"
        assert bucket.calls["head"] == 1
        clock.now = 1 + ASK_AGAIN_SECONDS
        bucket.trouble = None
        assert await store.head(SMALL) is None


class Cdn:
    """A cache in front of a bucket that keeps what it returned, 404 too, by path alone."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._kept: dict[str, bool] = {}

    async def browse(self, key: str) -> bool:
        """Return whether a browser gets the file."""
        if key not in self._kept:
            self._kept[key] = await self._bucket.head(key) is not None
        return self._kept[key]


async def test_a_job_and_a_page_view_that_overtake_the_upload_leave_no_404_for_browsers(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    bucket = Bucket()
    cdn = Cdn(bucket)
    async with Scripted(MISSING) as server, behind(server, bucket, is_seen_by_browsers=True) as store:
        derivatives = open_derivatives(store, render_pool, policy=policy)
        assert isinstance((await derivatives.generate(ORIGINAL)).fault, NotFound)
        with pytest.raises(NotFound):
            await derivatives.locate(ORIGINAL, "small")
        for key in asked(server):
            await cdn.browse(key)
        await bucket.put(ORIGINAL, photo, Attributes(content_type="image/jpeg"))
        derivatives.clear_failures(ORIGINAL)
        location = await derivatives.locate(ORIGINAL, "small")
        await derivatives.close()
        for key in asked(server):
            await cdn.browse(key)
        assert await cdn.browse(ORIGINAL)
        assert await cdn.browse(location.key)
