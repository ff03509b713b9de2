"""Originals that are replaced, removed or stored again while another process renders them."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

import pytest
import structlog

from loadtest.paint import Photograph, paint
from proxy.derivatives.recipe import ETAG
from proxy.errors import NotFound, StoreUnavailable
from proxy.stores.base import Attributes
from proxy.stores.memory import MemoryStore
from tests.proxy.conftest import ORIGINAL, CountingStore, Workshop, open_workshop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob

pytestmark = pytest.mark.anyio

Moment = Literal["before", "after"]
MOMENTS: tuple[Moment, Moment] = ("before", "after")

LAST_LOOKUP = 9
"""The number of the call that looks at the original after the uploads: a job first looks at the original and three
derivatives, fetches the original, looks at it again, and uploads three derivatives."""


class InterruptedStore(CountingStore):
    """A store that another process changes before or after the call with the number `interrupted`, from 0 on."""

    def __init__(self) -> None:
        super().__init__(Counter())
        self.interrupted = -1
        self.moment: Moment = "before"
        self.interrupt: Callable[[], Awaitable[object]] | None = None
        self._number = itertools.count()

    def plan(self, number: int, moment: Moment, interrupt: Callable[[], Awaitable[object]]) -> None:
        """Run `interrupt` at that moment, once."""
        self.interrupted, self.moment, self.interrupt, self._number = number, moment, interrupt, itertools.count()

    async def head(self, key: str) -> Blob | None:
        number = await self._begin()
        blob = await super().head(key)
        await self._change(number, "after")
        return blob

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        number = await self._begin()
        blob = await super().fetch(key, path, max_bytes=max_bytes)
        await self._change(number, "after")
        return blob

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        number = await self._begin()
        blob = await super().put(key, path, attributes)
        await self._change(number, "after")
        return blob

    async def delete(self, key: str) -> None:
        number = await self._begin()
        await super().delete(key)
        await self._change(number, "after")

    async def _begin(self) -> int:
        number = next(self._number)
        await self._change(number, "before")
        return number

    async def _change(self, number: int, moment: Moment) -> None:
        if self.interrupt and (number, moment) == (self.interrupted, self.moment):
            interrupt, self.interrupt = self.interrupt, None
            await interrupt()


@pytest.fixture
def store() -> InterruptedStore:
    return InterruptedStore()


@pytest.fixture
def worker(render_pool: RenderPool, photo: Path, policy: GenerationPolicy, store: InterruptedStore) -> Workshop:
    return open_workshop(render_pool, photo=photo, policy=policy, store=store)


@pytest.fixture
def service(worker: Workshop, policy: GenerationPolicy, store: InterruptedStore) -> Workshop:
    """Return the components of another process on the same store."""
    return open_workshop(worker.render_pool, photo=worker.photo, policy=policy, store=store)


@pytest.fixture
def new_photo(tmp_path: Path) -> Path:
    paint(tmp_path / "new.jpg", Photograph(width=400, height=400, seed=2))
    return tmp_path / "new.jpg"


async def derivatives(store: CountingStore) -> list[Blob]:
    return [blob async for blob in store.list() if blob.key != ORIGINAL]


async def test_a_removal_in_the_middle_of_a_job_leaves_nothing_behind(
    worker: Workshop, service: Workshop, store: InterruptedStore
) -> None:
    async def take_down() -> None:
        await store.delete(ORIGINAL)
        await service.derivatives.purge(ORIGINAL)

    for number, moment in itertools.product(range(100), MOMENTS):
        await worker.upload()
        store.plan(number, moment, take_down)
        await worker.derivatives.generate(ORIGINAL)
        if store.interrupt:
            break
        assert await derivatives(store) == [], (number, moment)
    assert number > LAST_LOOKUP


async def test_a_worker_that_was_stopped_overwrites_nothing_newer(
    worker: Workshop, service: Workshop, store: InterruptedStore, new_photo: Path
) -> None:
    async def replace_and_render() -> None:
        await store.put(ORIGINAL, new_photo, Attributes(content_type="image/jpeg"))
        assert (await service.derivatives.generate(ORIGINAL)).fault is None

    for number, moment in itertools.product(range(100), MOMENTS):
        await worker.upload()
        for blob in await derivatives(store):
            await store.delete(blob.key)
        store.plan(number, moment, replace_and_render)
        await worker.derivatives.generate(ORIGINAL)
        if store.interrupt:
            break
        original = await store.head(ORIGINAL)
        assert original is not None
        made_from = [blob.attributes.metadata[ETAG] for blob in await derivatives(store)]
        assert made_from == [original.etag] * 3, (number, moment)
    assert number > LAST_LOOKUP


async def test_an_original_that_is_removed_and_stored_again_has_its_derivatives(
    worker: Workshop, service: Workshop, store: InterruptedStore, new_photo: Path
) -> None:
    async def remove() -> None:
        await store.delete(ORIGINAL)
        await service.derivatives.purge(ORIGINAL)
        store.plan(again, moment, store_again)

    async def store_again() -> None:
        await store.put(ORIGINAL, new_photo, Attributes(content_type="image/jpeg"))
        await service.derivatives.generate(ORIGINAL)

    for again, moment in itertools.product(range(8), MOMENTS):
        await worker.upload()
        for blob in await derivatives(store):
            await store.delete(blob.key)
        store.plan(LAST_LOOKUP, "before", remove)
        await worker.derivatives.generate(ORIGINAL)
        if store.interrupt:
            break
        original = await store.head(ORIGINAL)
        assert original is not None
        made_from = [blob.attributes.metadata[ETAG] for blob in await derivatives(store)]
        assert made_from == [original.etag] * 3, (again, moment)
    assert again > 2


async def test_what_was_there_before_an_original_vanished_is_not_deleted(
    worker: Workshop, store: InterruptedStore
) -> None:
    await worker.upload()
    await worker.derivatives.generate(ORIGINAL, ["small"])

    async def vanish() -> None:
        await store.delete(ORIGINAL)

    store.plan(7, "after", vanish)  # between two uploads
    made = await worker.derivatives.generate(ORIGINAL)
    assert isinstance(made.fault, NotFound)
    assert [blob.key for blob in await derivatives(store)] == ["gall/58/58_1_small.jpg"]


class FlappingStore(CountingStore):
    """A store that returns another ETag of an original to each lookup, as some origins behind a load balancer do."""

    def __init__(self, etags: int = 1_000_000) -> None:
        super().__init__(Counter())
        self._numbers = itertools.cycle(range(etags))

    async def head(self, key: str) -> Blob | None:
        blob = await super().head(key)
        return replace(blob, etag=f"node-{next(self._numbers)}") if blob and key == ORIGINAL else blob


@pytest.mark.parametrize("etags", [2, 3, 1_000_000])
async def test_an_original_whose_etag_never_stays_the_same_is_rendered_twice_at_most(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy, etags: int
) -> None:
    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=FlappingStore(etags))
    await workshop.upload()
    assert (await workshop.view(ORIGINAL, "small")).source == "render"
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (2, 3)
    made = await workshop.derivatives.generate(ORIGINAL, remake="all")
    assert (len(made.derivatives), made.fault) == (3, None)
    assert workshop.calls["fetch"] <= 4


class BusySite(CountingStore):
    """A store whose site uploads the next of some photographs each time that an original was fetched."""

    def __init__(self, photos: list[Path]) -> None:
        super().__init__(Counter())
        self.photos = photos

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        blob = await super().fetch(key, path, max_bytes=max_bytes)
        if self.photos:
            await MemoryStore.put(self, key, self.photos.pop(), Attributes())
        return blob


async def test_every_change_of_an_original_is_followed(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy, tmp_path: Path
) -> None:
    photos = [tmp_path / f"{number}.jpg" for number in range(4)]
    for number, path in enumerate(photos):
        paint(path, Photograph(width=80 + number, height=60))
    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=BusySite([*photos]))
    await workshop.upload()
    made = await workshop.derivatives.generate(ORIGINAL)
    assert (len(made.derivatives), made.fault) == (3, None)
    newest = await workshop.store.head(ORIGINAL)
    assert newest is not None
    assert {one.attributes.metadata[ETAG] for one in await derivatives(workshop.store)} == {newest.etag}


class SwiftSite(BusySite):
    """A store whose site uploads the next of some photographs each time that an original was looked up."""

    async def head(self, key: str) -> Blob | None:
        blob = await super().head(key)
        if key == ORIGINAL and self.photos:
            await MemoryStore.put(self, key, self.photos.pop(), Attributes())
        return blob

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        return await CountingStore.fetch(self, key, path, max_bytes=max_bytes)


@pytest.mark.parametrize("uploads", range(1, 12))
async def test_an_upload_between_two_lookups_is_not_taken_for_an_etag_that_never_stays_the_same(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy, tmp_path: Path, uploads: int
) -> None:
    photos = [tmp_path / f"{number}.jpg" for number in range(uploads)]
    for number, path in enumerate(photos):
        paint(path, Photograph(width=80 + number, height=60))
    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=SwiftSite([]))
    await workshop.upload()
    cast("SwiftSite", workshop.store).photos = photos
    made = await workshop.derivatives.generate(ORIGINAL)
    assert (len(made.derivatives), made.fault) == (3, None)
    newest = await workshop.store.head(ORIGINAL)
    assert newest is not None
    assert {one.attributes.metadata[ETAG] for one in await derivatives(workshop.store)} == {newest.etag}


async def test_a_store_that_may_not_delete_keeps_what_is_left_and_the_log_says_so(
    worker: Workshop, store: InterruptedStore
) -> None:
    await worker.upload()

    async def vanish() -> None:
        await store.delete(ORIGINAL)
        store.refused = "gall/58/58_1_small.jpg"

    store.plan(LAST_LOOKUP, "before", vanish)
    with structlog.testing.capture_logs() as logs:
        made = await worker.derivatives.generate(ORIGINAL)
    assert isinstance(made.fault, NotFound)
    assert [blob.key for blob in await derivatives(store)] == ["gall/58/58_1_small.jpg"]
    assert "derivatives_not_deleted" in [line["event"] for line in logs]


async def test_a_store_that_fails_after_the_uploads_is_reported_beside_what_was_made(
    worker: Workshop, store: InterruptedStore
) -> None:
    await worker.upload()

    async def fail() -> None:
        raise StoreUnavailable("down")

    store.plan(LAST_LOOKUP, "before", fail)
    made = await worker.derivatives.generate(ORIGINAL)
    assert isinstance(made.fault, StoreUnavailable)
