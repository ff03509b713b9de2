"""Page views time out on a store in trouble; jobs wait longer."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import NotAnImage
from proxy.concurrency.ttl_cache import TtlCache
from proxy.derivatives.cache import DerivativeCache
from proxy.derivatives.service import DerivativeService
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import DeadlineExceeded, NotFound, StoreError, StoreRefused, StoreUnavailable, public_message
from proxy.keys.syntax import url
from proxy.stores.base import Attributes
from proxy.stores.factory import StoreConfig, open_store
from proxy.stores.remembered import RememberedBlobs
from tests.proxy.conftest import ORIGINAL, CountingStore, Workshop, open_workshop
from tests.proxy.stores.scripted import Scripted, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob

pytestmark = pytest.mark.anyio

SMALL = "gall/58/58_1_small.jpg"
BRIEF = PageTimeouts(lookup_seconds=0.5, transfer_seconds=0.5)


class TroubledStore(CountingStore):
    """A store in memory that hangs or raises after `calls_left` calls."""

    def __init__(self) -> None:
        super().__init__(Counter())
        self.calls_left = 1_000_000
        self.trouble: StoreError | None = None
        """Raised after that; None makes the store hang."""

    async def _answer_or_not(self) -> None:
        self.calls_left -= 1
        if self.calls_left < 0:
            if self.trouble:
                raise self.trouble
            await asyncio.Event().wait()

    async def head(self, key: str) -> Blob | None:
        await self._answer_or_not()
        return await super().head(key)

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        await self._answer_or_not()
        return await super().fetch(key, path, max_bytes=max_bytes)

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        await self._answer_or_not()
        return await super().put(key, path, attributes)


@pytest.fixture
def troubled() -> TroubledStore:
    return TroubledStore()


@pytest.fixture
def workshop(render_pool: RenderPool, photo: Path, policy: GenerationPolicy, troubled: TroubledStore) -> Workshop:
    return open_workshop(render_pool, photo=photo, policy=replace(policy, timeouts=BRIEF), store=troubled)


class Clock:
    """A clock in seconds that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remembering(workshop: Workshop, policy: GenerationPolicy, clock: Clock) -> Workshop:
    """Return a workshop whose cache uses `clock`: derivatives are fresh for a minute, and stale for an hour more."""
    cache = DerivativeCache(
        known=TtlCache(entries=100, seconds=60, stale_seconds=3600, clock=clock),
        absent=TtlCache(entries=100, seconds=0),
        failures=TtlCache(entries=100, seconds=0),
        remembered=RememberedBlobs(room_bytes=0, seconds=0),
    )
    derivatives = DerivativeService(
        store=workshop.store,
        render_pool=workshop.render_pool,
        recipe=workshop.derivatives.recipe,
        cache=cache,
        policy=replace(policy, timeouts=BRIEF),
    )
    return replace(workshop, derivatives=derivatives)


@pytest.mark.slow
async def test_a_page_view_of_a_missing_size_ends_in_time_wherever_the_store_begins_to_hang(
    workshop: Workshop, troubled: TroubledStore
) -> None:
    # A lookup of the derivative, a fetch, a lookup of the original, the put of this size.
    for answered in range(4):
        original = f"gall/{answered}/{answered}_1_original.jpg"
        troubled.calls_left = 1_000_000
        await workshop.upload(original)
        troubled.calls_left = answered
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable, match="in time"):
                await workshop.view(original, "xlarge")
        assert troubled.calls_left < 0


async def test_a_page_view_is_served_what_was_made_where_the_store_hangs_at_the_last_look(
    workshop: Workshop, troubled: TroubledStore
) -> None:
    await workshop.upload()
    troubled.calls_left = 6
    async with asyncio.timeout(5):
        location = await workshop.view(ORIGINAL, "xlarge")
    assert location.source == "render"
    assert troubled.calls_left < 0


async def test_a_generation_for_page_views_has_a_deadline_as_a_whole(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy, troubled: TroubledStore
) -> None:
    slow = PageTimeouts(lookup_seconds=60, transfer_seconds=60, generation_seconds=0.2)
    workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, timeouts=slow), store=troubled)
    await workshop.upload()
    troubled.calls_left = 1
    async with asyncio.timeout(5):
        with pytest.raises(DeadlineExceeded, match=r"longer than 0\.2 s"):
            await workshop.derivatives.locate(ORIGINAL, "small")
    assert troubled.calls_left < 0


async def test_a_page_view_of_an_original_ends_in_time(workshop: Workshop, troubled: TroubledStore) -> None:
    troubled.calls_left = 0
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match="in time"):
            await workshop.derivatives.locate(ORIGINAL, "original")


async def test_a_page_view_of_a_bad_original_ends_in_time(
    workshop: Workshop, troubled: TroubledStore, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_bytes(b"this is not a picture")
    await workshop.upload(path=tmp_path / "text.jpg")
    with pytest.raises(NotAnImage):
        await workshop.derivatives.locate(ORIGINAL, "small")
    troubled.calls_left = 1
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match="in time"):
            await workshop.derivatives.locate(ORIGINAL, "small")


async def test_a_job_is_as_patient_as_the_store(workshop: Workshop, troubled: TroubledStore) -> None:
    await workshop.upload()
    troubled.calls_left = 4
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3 * BRIEF.lookup_seconds):
            await workshop.derivatives.generate(ORIGINAL)


async def test_a_large_original_may_take_its_time(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy, troubled: TroubledStore
) -> None:
    slow = PageTimeouts(lookup_seconds=0.5, transfer_seconds=0.05, min_bytes_per_second=1)
    workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, timeouts=slow), store=troubled)
    await workshop.upload()
    troubled.calls_left = 3
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await workshop.derivatives.locate(ORIGINAL, "small")


@pytest.mark.parametrize("trouble", [None, StoreUnavailable("down"), StoreRefused("expired")])
async def test_what_was_known_long_ago_still_redirects_when_the_store_does_not_answer(
    remembering: Workshop, troubled: TroubledStore, clock: Clock, trouble: StoreError | None
) -> None:
    await remembering.upload()
    await remembering.view(ORIGINAL, "small")
    troubled.calls_left, troubled.trouble = 0, trouble
    clock.now = 1000
    location = await remembering.view(ORIGINAL, "small")
    assert (location.key, location.source) == (SMALL, "cache")
    assert troubled.calls_left == -1
    await remembering.view(ORIGINAL, "small")
    assert troubled.calls_left == -1, "a minute passes before a store in trouble is asked once more"
    clock.now = 10_000
    with pytest.raises(StoreError):
        await remembering.view(ORIGINAL, "small")


async def test_a_post_of_a_job_takes_nothing_from_page_views_while_the_store_does_not_answer(
    remembering: Workshop, troubled: TroubledStore
) -> None:
    await remembering.upload()
    await remembering.view(ORIGINAL, "small")
    troubled.calls_left = 0
    remembering.derivatives.clear_failures(ORIGINAL)
    assert (await remembering.view(ORIGINAL, "small")).source == "cache"
    assert troubled.calls_left == -1


async def test_what_was_known_long_ago_is_looked_for_again(
    remembering: Workshop, troubled: TroubledStore, clock: Clock
) -> None:
    await remembering.upload()
    await remembering.derivatives.locate(ORIGINAL, "small")
    clock.now = 1000
    assert (await remembering.derivatives.locate(ORIGINAL, "small")).source == "store"
    clock.now = 2000
    await troubled.delete(ORIGINAL)
    await troubled.delete(SMALL)
    with pytest.raises(NotFound):
        await remembering.derivatives.locate(ORIGINAL, "small")
    troubled.calls_left = 0
    with pytest.raises(StoreUnavailable):
        await remembering.derivatives.locate(ORIGINAL, "small")


async def test_what_was_written_long_ago_still_redirects_if_a_cache_has_what_it_replaced(
    remembering: Workshop, troubled: TroubledStore, clock: Clock
) -> None:
    await remembering.upload()
    await remembering.derivatives.locate(ORIGINAL, "small")
    await troubled.put(SMALL, remembering.photo, Attributes(content_type="image/jpeg"))
    clock.now = 1000
    assert (await remembering.derivatives.locate(ORIGINAL, "small")).source == "cache"
    clock.now = 10_000
    assert (await remembering.derivatives.locate(ORIGINAL, "small")).source == "render"


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """Listen without ever answering a request; yield the port."""

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("is_read_in_public", [False, True], ids=["bucket", "origin"])
async def test_the_operator_is_told_who_gave_no_answer_and_callers_are_not(
    monkeypatch: pytest.MonkeyPatch, *, is_read_in_public: bool
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    async with silent() as bucket, silent() as origin, Scripted(refusal(403, "AccessDenied")) as refusing:
        endpoint = refusing.port if is_read_in_public else bucket
        place = StoreConfig(
            store="s3://images",
            endpoint_url=f"http://127.0.0.1:{endpoint}",
            region="us-east-1",
            addressing="path",
            acl="",
            public_address=partial(url, f"http://127.0.0.1:{origin}/photos") if is_read_in_public else None,
            connections=2,
        )
        store = open_store(place)
        await store.start()
        with pytest.raises(StoreUnavailable) as raised:
            await PageTimeouts(lookup_seconds=2).lookup(store.head(ORIGINAL))
        await store.close()
    who = f"origin http://127.0.0.1:{origin}" if is_read_in_public else f"bucket images at http://127.0.0.1:{bucket}"
    assert str(raised.value) == f"The {who} did not respond in time."
    assert public_message(raised.value) == StoreUnavailable.public_message
