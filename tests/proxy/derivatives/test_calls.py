"""How many calls of the store a first page view costs, and that it keeps every promise with so few."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.derivatives.generator import UNSEEN_AT_ONCE
from proxy.derivatives.recipe import ETAG, PROFILE
from proxy.errors import NotFound, TooManyBytes
from proxy.rendering.pool import RenderPool
from proxy.stores.base import Attributes
from proxy.stores.memory import MemoryStore
from tests.proxy.conftest import BUDGET_BYTES, ORIGINAL, CountingStore, Workshop, open_derivatives, open_workshop
from tests.proxy.derivatives.test_changes import InterruptedStore, Moment, derivatives
from tests.proxy.stores.fault_proxy import FaultProxy
from tests.proxy.stores.s3.s3_stores import opened
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.stores.base import Blob
    from tests.proxy.stores.seaweed import Seaweed

pytestmark = pytest.mark.anyio

SMALL, LARGE = "gall/58/58_1_small.jpg", "gall/58/58_1_large.jpg"
MOMENTS: tuple[tuple[int, Moment], ...] = ((1, "after"), (2, "after"), (4, "after"), (6, "before"))
"""After the fetch, after the lookup before the puts, between two puts, before the last lookup."""


async def test_a_first_page_view_of_a_bucket_costs_three_lookups_a_fetch_and_a_put_for_each_size(
    weed: Seaweed, render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    async with FaultProxy(weed.port) as proxy, opened(weed.bucket(url=proxy.url)) as store:
        await store.put(ORIGINAL, photo, Attributes(content_type="image/jpeg"))
        await store.head(ORIGINAL)  # shows for a minute that the bucket exists
        service = open_derivatives(store, render_pool, policy=policy)
        proxy.seen.clear()
        assert (await service.locate(ORIGINAL, "small")).source == "render"
        await service.close(grace_seconds=60)
        calls = Counter((seen.method, seen.target.partition("?")[0].rpartition("/")[2]) for seen in proxy.seen)
    assert calls == {
        ("HEAD", "58_1_small.jpg"): 1,
        ("GET", "58_1_original.jpg"): 1,
        ("HEAD", "58_1_original.jpg"): 2,  # before and after the puts
        ("PUT", "58_1_small.jpg"): 1,
        ("PUT", "58_1_large.jpg"): 1,
        ("PUT", "58_1_xlarge.jpg"): 1,
    }


async def test_an_original_that_does_not_exist_costs_one_lookup_and_one_fetch(workshop: Workshop) -> None:
    for _ in range(2):
        with pytest.raises(NotFound, match="upload it first"):
            await workshop.derivatives.locate(ORIGINAL, "small")
    assert workshop.calls == {"head": 2, "fetch": 1}  # the second time, the absence of the original is cached


async def test_sizes_that_were_seen_are_looked_up_and_not_rendered_again(workshop: Workshop) -> None:
    await workshop.upload()
    await workshop.plant(LARGE)
    await workshop.view(ORIGINAL, "large")
    await workshop.view(ORIGINAL, "small")
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 2)


async def test_a_flood_of_keys_that_do_not_exist_is_looked_up_before_it_takes_a_place_in_the_queue(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    store = HeldStore()
    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=store)
    keys = [f"gall/{number}/{number}_1_original.jpg" for number in range(3 * UNSEEN_AT_ONCE)]
    views = [asyncio.create_task(workshop.derivatives.locate(key, "small")) for key in keys]
    rest = len(keys) - UNSEEN_AT_ONCE

    async def are_fetched_or_refused() -> bool:
        return store.calls["fetch"] == UNSEEN_AT_ONCE and sum(view.done() for view in views) == rest

    await until(are_fetched_or_refused)
    store.released.set()
    outcomes = await asyncio.gather(*views, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {NotFound}


async def test_what_does_not_exist_is_not_found_even_while_the_queue_is_full(
    photo: Path, policy: GenerationPolicy
) -> None:
    pool = RenderPool(admission=Admission(slots=1, budget_bytes=BUDGET_BYTES, waiting=0), deadline_seconds=30)
    await pool.start()
    workshop = open_workshop(pool, photo=photo, policy=policy)
    with pool.admit(Ticket(Priority.PAGE)), pytest.raises(NotFound):
        await workshop.derivatives.locate(ORIGINAL, "small")
    await pool.close()


async def test_an_original_that_is_too_large_is_refused_under_its_etag(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, max_bytes=100))
    await workshop.upload()
    for _ in range(2):
        with pytest.raises(TooManyBytes):
            await workshop.derivatives.locate(ORIGINAL, "small")
    assert workshop.calls["fetch"] == 1


async def test_conditional_writes_replace_what_is_not_ours_though_nobody_looked_it_up(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy, tmp_path: Path
) -> None:
    workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, conditional_writes=True))
    await workshop.upload()
    (tmp_path / "page").write_bytes(b"<!doctype html>")
    await workshop.store.put(LARGE, tmp_path / "page", Attributes(content_type="text/html"))
    await workshop.view(ORIGINAL, "small")
    blob = await workshop.store.head(LARGE)
    assert blob is not None
    assert PROFILE in blob.attributes.metadata


class HeldStore(CountingStore):
    """A store whose fetches wait until they are released."""

    def __init__(self) -> None:
        super().__init__(Counter())
        self.released = asyncio.Event()

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        self.calls["fetch"] += 1
        await self.released.wait()
        return await MemoryStore.fetch(self, key, path, max_bytes=max_bytes)


class TwoFacedStore(CountingStore):
    """A store that returns another ETag to a fetch than to a lookup, as some origins do."""

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        blob = await super().fetch(key, path, max_bytes=max_bytes)
        return replace(blob, etag=f"{blob.etag}-gzip")


async def test_a_store_with_two_etags_for_one_original_costs_one_render_more_once(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=TwoFacedStore(Counter()))
    fetches = []
    for number in range(3):
        original = f"gall/{number}/{number}_1_original.jpg"
        await workshop.upload(original)
        assert (await workshop.view(original, "small")).source == "render"
        fetches.append(workshop.calls["fetch"])
    assert fetches == [2, 1, 1]


@pytest.fixture
def store() -> InterruptedStore:
    return InterruptedStore()


@pytest.fixture
async def viewed(render_pool: RenderPool, photo: Path, policy: GenerationPolicy, store: InterruptedStore) -> Workshop:
    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=store)
    await workshop.upload()
    return workshop


@pytest.fixture
def other(viewed: Workshop, policy: GenerationPolicy, store: InterruptedStore, tmp_path: Path) -> Workshop:
    """Return the components of another process on the same store, with another photograph."""
    paint(tmp_path / "new.jpg", Photograph(width=400, height=400, seed=2))
    return open_workshop(viewed.render_pool, photo=tmp_path / "new.jpg", policy=policy, store=store)


@pytest.mark.parametrize(("number", "moment"), MOMENTS)
async def test_a_removal_in_the_middle_of_a_first_page_view_leaves_nothing_behind(
    viewed: Workshop, other: Workshop, store: InterruptedStore, number: int, moment: Moment
) -> None:
    async def take_down() -> None:
        await store.delete(ORIGINAL)
        await other.derivatives.purge(ORIGINAL)

    store.plan(number, moment, take_down)
    with suppress(NotFound):
        await viewed.view(ORIGINAL, "small")
    assert store.interrupt is None
    assert await derivatives(store) == []


@pytest.mark.parametrize(("number", "moment"), MOMENTS)
async def test_a_first_page_view_that_was_stopped_overwrites_nothing_newer(
    viewed: Workshop, other: Workshop, store: InterruptedStore, number: int, moment: Moment
) -> None:
    async def replace_and_render() -> None:
        await store.put(ORIGINAL, other.photo, Attributes(content_type="image/jpeg"))
        assert (await other.derivatives.generate(ORIGINAL)).fault is None

    store.plan(number, moment, replace_and_render)
    await viewed.view(ORIGINAL, "small")
    assert store.interrupt is None
    original = await store.head(ORIGINAL)
    assert original is not None
    made_from = [blob.attributes.metadata[ETAG] for blob in await derivatives(store)]
    assert made_from == [original.etag] * 3
