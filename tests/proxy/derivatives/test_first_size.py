"""A page view returns as soon as its size is stored; the other sizes follow in the same run."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from proxy.concurrency.admission import Admission
from proxy.concurrency.timings import Timings
from proxy.derivatives.recipe import ETAG
from proxy.errors import ImagesError, NotFound, ProcessDied, StoreRefused
from proxy.rendering.pool import RenderPool
from proxy.stores.base import Attributes
from tests.proxy.conftest import BUDGET_BYTES, ORIGINAL, CountingStore, Workshop, open_workshop
from tests.proxy.derivatives.test_changes import InterruptedStore, derivatives
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.protocol import Render, Rendered
    from proxy.concurrency.admission import Ticket
    from proxy.derivatives.policy import GenerationPolicy
    from proxy.rendering.pool import RenderResult
    from proxy.stores.base import Blob

pytestmark = pytest.mark.anyio

ALL = ("small", "large", "xlarge")


def key(size: str) -> str:
    return f"gall/58/58_1_{size}.jpg"


class HeldPuts(CountingStore):
    """A store that holds the puts and fetches of some keys until they are released."""

    def __init__(self) -> None:
        super().__init__(Counter())
        self.held: dict[str, asyncio.Event] = {}
        self.waits: set[str] = set()

    def hold(self, *keys: str) -> None:
        self.held = {one: asyncio.Event() for one in keys}

    def release(self, *keys: str) -> None:
        for one in keys:
            self.held[one].set()

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        await self._hold(key)
        return await super().fetch(key, path, max_bytes=max_bytes)

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        await self._hold(key)
        return await super().put(key, path, attributes)

    async def _hold(self, key: str) -> None:
        if key in self.held:
            self.waits.add(key)
            await self.held[key].wait()


@pytest.fixture
def store() -> HeldPuts:
    return HeldPuts()


@pytest.fixture
def workshop(render_pool: RenderPool, photo: Path, policy: GenerationPolicy, store: HeldPuts) -> Workshop:
    return open_workshop(render_pool, photo=photo, policy=policy, store=store)


async def content(store: CountingStore, size: str) -> bytes:
    async with store.open(key(size)) as (_, chunks):
        return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("size", ALL)
async def test_a_page_view_does_not_wait_for_other_sizes(workshop: Workshop, store: HeldPuts, size: str) -> None:
    await workshop.upload()
    store.hold(*(key(other) for other in ALL if other != size))
    timings = Timings()

    location = await workshop.derivatives.locate(ORIGINAL, size, timings)

    assert (location.key, location.source) == (key(size), "render")
    assert min(timings.render_seconds, timings.store_seconds) > 0
    assert [blob.key for blob in await derivatives(store)] == [key(size)]
    store.release(*store.held)
    await workshop.derivatives.close(grace_seconds=60)
    assert {blob.key for blob in await derivatives(store)} == {key(each) for each in ALL}
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)


async def test_a_page_view_never_returns_before_its_size_is_confirmed(workshop: Workshop, store: HeldPuts) -> None:
    await workshop.upload()
    store.hold(key("small"))
    view = asyncio.create_task(workshop.derivatives.locate(ORIGINAL, "small"))

    async def others_are_stored() -> bool:
        return len(await derivatives(store)) == 2

    await until(others_are_stored)
    assert not view.done()
    assert workshop.derivatives.known_version(key("small")) is None
    store.release(key("small"))
    assert (await view).source == "render"


async def test_each_later_page_view_gets_its_size_when_that_is_ready(workshop: Workshop, store: HeldPuts) -> None:
    await workshop.upload()
    store.hold(ORIGINAL, *map(key, ALL))
    views = {}
    for size in ALL:  # the first of them is rendered first
        views[size] = asyncio.create_task(workshop.derivatives.locate(ORIGINAL, size))

    async def is_fetching() -> bool:
        return ORIGINAL in store.waits

    await until(is_fetching)
    store.release(ORIGINAL)
    for done, size in enumerate(["large", "small", "xlarge"], start=1):
        store.release(key(size))
        assert (await views[size]).source == "render"
        assert sum(view.done() for view in views.values()) == done
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)


async def test_a_page_view_gets_its_size_from_a_job_that_makes_it(workshop: Workshop, store: HeldPuts) -> None:
    await workshop.upload()
    store.hold(ORIGINAL, key("large"), key("xlarge"))
    job = asyncio.create_task(workshop.derivatives.generate(ORIGINAL))

    async def is_fetching() -> bool:
        return ORIGINAL in store.waits

    await until(is_fetching)
    view = asyncio.create_task(workshop.derivatives.locate(ORIGINAL, "small"))

    async def view_has_looked() -> bool:
        return workshop.calls["head"] >= 1 + len(ALL) + 1

    await until(view_has_looked)
    store.release(ORIGINAL)
    assert (await view).source == "render"
    assert not job.done()
    store.release(*store.held)
    assert [one.size for one in (await job).derivatives] == list(ALL)
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)


async def test_the_bytes_are_those_of_a_job_whichever_size_comes_first(
    workshop: Workshop, render_pool: RenderPool, policy: GenerationPolicy
) -> None:
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL)
    expected = [await content(workshop.store, size) for size in ALL]
    for first in ALL:
        lazy = open_workshop(render_pool, photo=workshop.photo, policy=policy)
        await lazy.upload()
        await lazy.view(ORIGINAL, first)
        assert [await content(lazy.store, size) for size in ALL] == expected


async def test_a_refused_size_is_the_fault_of_those_alone_who_wait_for_it(workshop: Workshop, store: HeldPuts) -> None:
    await workshop.upload()
    store.refused = key("xlarge")
    small, xlarge = (asyncio.create_task(workshop.derivatives.locate(ORIGINAL, size)) for size in ("small", "xlarge"))
    assert (await small).source == "render"
    with pytest.raises(StoreRefused):
        await xlarge
    store.refused = None
    assert (await workshop.view(ORIGINAL, "xlarge")).source == "render"


class DyingPool(RenderPool):
    """A pool whose process dies when it has rendered the first size."""

    async def render(
        self,
        question: Render,
        ticket: Ticket,
        timings: Timings | None = None,
        *,
        on_made: Callable[[Rendered], None] | None = None,
    ) -> RenderResult:
        result = await super().render(question, ticket, timings)
        if on_made and question.first:
            on_made(next(one for one in result.derived.derivatives if one.size == question.first))
        raise ProcessDied("It died.")


async def test_what_was_answered_stays_when_the_process_dies_afterwards(photo: Path, policy: GenerationPolicy) -> None:
    pool = DyingPool(admission=Admission(slots=2, budget_bytes=BUDGET_BYTES, waiting=100), deadline_seconds=30)
    await pool.start()
    workshop = open_workshop(pool, photo=photo, policy=policy)
    await workshop.upload()
    small, large = (asyncio.create_task(workshop.derivatives.locate(ORIGINAL, size)) for size in ("small", "large"))
    assert (await small).source == "render"
    with pytest.raises(ProcessDied):
        await large
    assert [blob.key for blob in await derivatives(workshop.store)] == [key("small")]
    job = await workshop.derivatives.generate(ORIGINAL)
    assert ([one.size for one in job.derivatives], type(job.fault)) == (["small"], ProcessDied)
    await workshop.derivatives.close()
    await pool.close()


@pytest.fixture
def interrupted() -> InterruptedStore:
    return InterruptedStore()


@pytest.fixture(params=[0.0, 60.0], ids=["looks-before-each-put", "looks-once"])
def viewed(
    render_pool: RenderPool,
    photo: Path,
    policy: GenerationPolicy,
    interrupted: InterruptedStore,
    request: pytest.FixtureRequest,
) -> Workshop:
    policy = replace(policy, look_seconds=request.param)
    return open_workshop(render_pool, photo=photo, policy=policy, store=interrupted)


@pytest.fixture
def other(viewed: Workshop, policy: GenerationPolicy, interrupted: InterruptedStore, tmp_path: Path) -> Workshop:
    """Return the components of another process on the same store, with another photograph."""
    paint(tmp_path / "new.jpg", Photograph(width=400, height=400, seed=2))
    return open_workshop(viewed.render_pool, photo=tmp_path / "new.jpg", policy=policy, store=interrupted)


async def test_a_removal_at_any_moment_of_a_page_view_leaves_nothing_behind(
    viewed: Workshop, other: Workshop, interrupted: InterruptedStore
) -> None:
    async def take_down() -> None:
        await interrupted.delete(ORIGINAL)
        await other.derivatives.purge(ORIGINAL)

    for number in itertools.count():
        await viewed.derivatives.purge(ORIGINAL)
        await viewed.upload()
        viewed.derivatives.clear_failures(ORIGINAL)
        interrupted.plan(number, "after", take_down)
        with suppress(NotFound):
            await viewed.view(ORIGINAL, "small")
        if interrupted.interrupt:
            break
        assert await derivatives(interrupted) == [], number
    assert number > 6


async def test_a_replacement_at_any_moment_of_a_page_view_is_rendered(
    viewed: Workshop, other: Workshop, interrupted: InterruptedStore
) -> None:
    async def replace_and_render() -> None:
        await interrupted.put(ORIGINAL, other.photo, Attributes(content_type="image/jpeg"))
        assert (await other.derivatives.generate(ORIGINAL)).fault is None

    for number in itertools.count():
        await viewed.derivatives.purge(ORIGINAL)
        await viewed.upload()
        interrupted.plan(number, "after", replace_and_render)
        await viewed.view(ORIGINAL, "small")
        if interrupted.interrupt:
            break
        original = await interrupted.head(ORIGINAL)
        assert original is not None
        made_from = {blob.attributes.metadata[ETAG] for blob in await derivatives(interrupted)}
        assert made_from == {original.etag}, number
    assert number > 6


async def test_a_look_that_finds_the_original_gone_has_no_further_put(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    class VanishingStore(CountingStore):
        is_seen_gone = False
        late: tuple[str, ...] = ()

        async def head(self, key: str) -> Blob | None:
            blob = await super().head(key)
            self.is_seen_gone |= key == ORIGINAL and blob is None
            return blob

        async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
            if self.is_seen_gone:
                self.late += (key,)
            blob = await super().put(key, path, attributes)
            if self.calls["fetch"]:
                await self.delete(ORIGINAL)
            return blob

    store = VanishingStore(Counter())
    workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, look_seconds=0), store=store)
    await workshop.upload()
    await workshop.view(ORIGINAL, "small")
    assert (store.is_seen_gone, store.late) == (True, ())
    assert await derivatives(store) == []
    with pytest.raises(NotFound):
        await workshop.view(ORIGINAL, "small")


async def test_a_shutdown_leaves_what_was_stored_and_the_next_page_view_makes_the_rest(
    workshop: Workshop, store: HeldPuts, policy: GenerationPolicy
) -> None:
    await workshop.upload()
    store.hold(key("large"), key("xlarge"))
    await workshop.derivatives.locate(ORIGINAL, "small")
    await workshop.derivatives.close()
    assert [blob.key for blob in await derivatives(store)] == [key("small")]
    assert list(policy.scratch.own_folder().iterdir()) == []
    store.held.clear()
    later = open_workshop(workshop.render_pool, photo=workshop.photo, policy=policy, store=store)
    assert (await later.view(ORIGINAL, "xlarge")).source == "render"
    assert {blob.key for blob in await derivatives(store)} == {key(size) for size in ALL}


async def test_a_caller_that_disconnects_ends_no_run(workshop: Workshop, store: HeldPuts) -> None:
    await workshop.upload()
    store.hold(ORIGINAL)
    view = asyncio.create_task(workshop.derivatives.locate(ORIGINAL, "small"))

    async def is_fetching() -> bool:
        return ORIGINAL in store.waits

    await until(is_fetching)
    view.cancel()
    with suppress(asyncio.CancelledError):
        await view
    store.release(ORIGINAL)
    with suppress(ImagesError):
        await workshop.view(ORIGINAL, "large")
    assert workshop.calls["fetch"] == 1
    assert len(await derivatives(store)) == 3
