"""Locating derivatives in the cache, in the store or by rendering, and generating them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from pipeline.errors import NotAnImage, TooManyPixels
from pipeline.size import Size
from proxy import metrics
from proxy.concurrency.admission import Admission
from proxy.concurrency.timings import Timings
from proxy.derivatives.recipe import ETAG, HEIGHT, PROFILE, WIDTH
from proxy.errors import BadKey, DeadlineExceeded, NotFound, StoreUnavailable, TooManyBytes, UnknownSize
from proxy.rendering.pool import RenderPool
from tests.proxy.conftest import BUDGET_BYTES, ORIGINAL, CountingStore, Workshop, open_workshop

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.stores.base import Attributes, Blob

pytestmark = pytest.mark.anyio

ALL = ("small", "large", "xlarge")


async def stored(workshop: Workshop, size: str) -> bytes:
    async with workshop.store.open(f"gall/58/58_1_{size}.jpg") as (_, chunks):
        return b"".join([chunk async for chunk in chunks])


async def test_a_page_view_of_a_missing_size_makes_all_that_are_missing(workshop: Workshop) -> None:
    await workshop.upload()
    timings = Timings()
    location = await workshop.view(ORIGINAL, "small", timings)
    assert (location.key, location.source) == ("gall/58/58_1_small.jpg", "render")
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)
    assert timings.render_seconds > 0
    assert timings.store_seconds > 0


async def test_what_was_found_once_is_known_without_asking_the_store(workshop: Workshop) -> None:
    await workshop.upload()
    await workshop.view(ORIGINAL, "small")
    workshop.calls.clear()
    location = await workshop.view(ORIGINAL, "large")
    assert (location.source, sum(workshop.calls.values())) == ("cache", 0)


async def test_what_another_machine_made_is_found_in_the_store(workshop: Workshop) -> None:
    await workshop.plant("gall/58/58_1_small.jpg")
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "store"


async def test_fifty_callers_at_once_cost_one_fetch_one_render_and_a_write_a_size(workshop: Workshop) -> None:
    await workshop.upload()
    sizes = [ALL[number % 3] for number in range(50)]
    location = await asyncio.gather(*(workshop.derivatives.locate(ORIGINAL, size) for size in sizes))
    assert [one.key for one in location] == [f"gall/58/58_1_{size}.jpg" for size in sizes]
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)


async def test_a_job_and_a_page_view_at_once_share_what_is_made(workshop: Workshop) -> None:
    await workshop.upload()
    made, location = await asyncio.gather(
        workshop.derivatives.generate(ORIGINAL), workshop.derivatives.locate(ORIGINAL, "large")
    )
    assert [one.size for one in made.derivatives] == list(ALL)
    assert location.key == made.derivatives[1].key
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)


async def test_lazy_bytes_are_eager_bytes_whatever_is_asked_together(
    workshop: Workshop, render_pool: RenderPool, policy: GenerationPolicy
) -> None:
    other = open_workshop(render_pool, photo=workshop.photo, policy=policy)
    await workshop.upload()
    await other.upload()
    await workshop.derivatives.generate(ORIGINAL)
    for size in ALL:
        await other.derivatives.generate(ORIGINAL, [size])
    assert [await stored(workshop, size) for size in ALL] == [await stored(other, size) for size in ALL]


async def test_derivatives_carry_where_they_come_from_and_how_large_they_are(workshop: Workshop) -> None:
    original = await workshop.upload()
    made = await workshop.derivatives.generate(ORIGINAL)
    blob = await workshop.store.head(made.derivatives[1].key)
    assert blob is not None
    metadata = blob.attributes.metadata
    assert (metadata[ETAG], metadata[WIDTH], metadata[HEIGHT]) == (original.etag, "240", "180")
    assert metadata[PROFILE]
    assert (blob.attributes.content_type, blob.attributes.cache_control) == ("image/jpeg", "public, max-age=86400")


async def test_nothing_is_enlarged_and_all_sizes_exist(workshop: Workshop) -> None:
    await workshop.upload()
    made = await workshop.derivatives.generate(ORIGINAL)
    assert [(one.size, one.width, one.height) for one in made.derivatives] == [
        ("small", 60, 45),
        ("large", 240, 180),
        ("xlarge", 480, 360),
    ]


async def test_a_job_leaves_alone_what_is_fresh(workshop: Workshop) -> None:
    await workshop.upload()
    first = await workshop.derivatives.generate(ORIGINAL)
    workshop.calls.clear()
    second = await workshop.derivatives.generate(ORIGINAL)
    assert second.derivatives == first.derivatives
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (0, 0)


async def test_a_job_makes_again_what_was_made_of_other_bytes(workshop: Workshop, tmp_path: Path) -> None:
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL)
    paint(tmp_path / "new.jpg", Photograph(width=400, height=400, seed=2))
    await workshop.upload(path=tmp_path / "new.jpg")
    made = await workshop.derivatives.generate(ORIGINAL)
    assert [(one.width, one.height) for one in made.derivatives] == [(60, 60), (240, 240), (400, 400)]


async def test_a_job_makes_again_what_was_made_by_another_recipe(
    workshop: Workshop, policy: GenerationPolicy, tmp_path: Path
) -> None:
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL)
    others = (Size(name="small", width=30), *workshop.derivatives.recipe.sizes[1:])
    changed = open_workshop(workshop.render_pool, photo=workshop.photo, policy=policy, sizes=others)
    async for blob in workshop.store.list():
        await workshop.store.fetch(blob.key, tmp_path / "copy", max_bytes=1 << 20)
        await changed.store.put(blob.key, tmp_path / "copy", blob.attributes)
    changed.calls.clear()
    made = await changed.derivatives.generate(ORIGINAL)
    assert made.derivatives[0].width == 30
    assert changed.calls["put"] == 1


async def test_an_original_replaced_while_it_is_rendered_is_rendered_again(workshop: Workshop, tmp_path: Path) -> None:
    paint(tmp_path / "new.jpg", Photograph(width=400, height=400, seed=2))
    await workshop.upload()
    workshop.store.replace_after_fetch = tmp_path / "new.jpg"
    made = await workshop.derivatives.generate(ORIGINAL)
    assert [(one.width, one.height) for one in made.derivatives] == [(60, 60), (240, 240), (400, 400)]


async def test_an_original_replaced_while_it_is_found_broken_is_rendered_after_all(
    workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    await workshop.upload(path=tmp_path / "broken.jpg")
    workshop.store.replace_after_fetch = workshop.photo
    made = await workshop.derivatives.generate(ORIGINAL)
    assert (len(made.derivatives), made.fault) == (3, None)


async def test_what_was_made_of_an_original_that_is_removed_meanwhile_is_deleted(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    class Vanishing(CountingStore):
        async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
            if key != ORIGINAL:
                await self.delete(ORIGINAL)
            return await super().put(key, path, attributes)

    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=Vanishing(Counter()))
    await workshop.upload()
    made = await workshop.derivatives.generate(ORIGINAL)
    assert made.derivatives == ()
    assert isinstance(made.fault, NotFound)
    assert [blob.key async for blob in workshop.store.list()] == []


async def test_force_makes_everything_again(workshop: Workshop) -> None:
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL)
    workshop.calls.clear()
    await workshop.derivatives.generate(ORIGINAL, remake="all")
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)


async def test_the_original_itself_can_be_located(workshop: Workshop) -> None:
    await workshop.upload()
    assert (await workshop.derivatives.locate(ORIGINAL, "original")).key == ORIGINAL


async def test_an_original_that_is_not_there_is_asked_for_once_in_a_while(workshop: Workshop) -> None:
    for _ in range(5):
        with pytest.raises(NotFound):
            await workshop.derivatives.locate(ORIGINAL, "small")
    assert (workshop.calls["fetch"], workshop.calls["head"]) == (1, 5)


async def test_an_original_that_comes_late_is_found_by_its_job(workshop: Workshop) -> None:
    with pytest.raises(NotFound):
        await workshop.derivatives.locate(ORIGINAL, "small")
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL)
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "cache"


async def test_an_original_that_comes_late_is_there_for_page_views_once_its_job_has_found_it(
    workshop: Workshop,
) -> None:
    assert isinstance((await workshop.derivatives.generate(ORIGINAL, ["small"])).fault, NotFound)
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL, ["small"], clears_failures=False)  # as a retry of a job does
    assert (await workshop.derivatives.locate(ORIGINAL, "large")).source == "render"


async def test_what_is_no_image_is_fetched_once_until_its_bytes_change(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"this is not a picture")
    await workshop.upload(path=tmp_path / "text.jpg")
    for _ in range(3):
        with pytest.raises(NotAnImage):
            await workshop.derivatives.locate(ORIGINAL, "small")
    assert workshop.calls["fetch"] == 1
    await workshop.upload()
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "render"


async def test_too_many_pixels_are_refused_before_they_are_decoded(workshop: Workshop, tmp_path: Path) -> None:
    paint(tmp_path / "large.jpg", Photograph(width=1200, height=1000))
    await workshop.upload(path=tmp_path / "large.jpg")
    with pytest.raises(TooManyPixels):
        await workshop.derivatives.locate(ORIGINAL, "small")


async def test_too_many_bytes_are_refused_and_remembered(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, max_bytes=100))
    await workshop.upload()
    for _ in range(3):
        with pytest.raises(TooManyBytes):
            await workshop.derivatives.locate(ORIGINAL, "small")
    assert workshop.calls["fetch"] <= 1


@pytest.mark.parametrize("key", ["../secret_original.jpg", "gall/58/58_1_small.jpg", "", "/a_original.jpg"])
async def test_what_is_no_originals_key_is_refused(workshop: Workshop, key: str) -> None:
    with pytest.raises(BadKey):
        await workshop.derivatives.locate(key, "small")


async def test_a_size_that_does_not_exist_is_refused_with_those_that_do(workshop: Workshop) -> None:
    with pytest.raises(UnknownSize, match="small, large, xlarge"):
        await workshop.derivatives.locate(ORIGINAL, "huge")


async def test_two_machines_that_race_on_a_cold_key_do_one_visible_write_a_size(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    one = open_workshop(render_pool, photo=photo, policy=replace(policy, conditional_writes=True))
    await one.upload()
    other = open_workshop(render_pool, photo=photo, policy=replace(policy, conditional_writes=True), store=one.store)
    lost = metrics.writes_lost_total._value.get()  # noqa: SLF001 - the library offers no other way to read a counter
    location = await asyncio.gather(
        one.derivatives.locate(ORIGINAL, "small"), other.derivatives.locate(ORIGINAL, "large")
    )
    assert [each.key for each in location] == ["gall/58/58_1_small.jpg", "gall/58/58_1_large.jpg"]
    for each in (one, other):  # the sizes that follow
        await each.derivatives.close(grace_seconds=60)
    assert one.calls["put"] == 0
    written = one.calls["put_new"] - (metrics.writes_lost_total._value.get() - lost)  # noqa: SLF001 - as above
    assert written == 3


async def test_a_job_empties_what_page_views_remember_of_an_original(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"this is not a picture")
    await workshop.upload(path=tmp_path / "text.jpg")
    for made in (False, True, False):
        if made:
            assert isinstance((await workshop.derivatives.generate(ORIGINAL)).fault, NotAnImage)
        with pytest.raises(NotAnImage):
            await workshop.derivatives.locate(ORIGINAL, "small")
    assert workshop.calls["fetch"] == 2


async def test_what_is_not_where_it_was_known_to_be_is_made_again(workshop: Workshop) -> None:
    await workshop.upload()
    location = await workshop.view(ORIGINAL, "small")
    await workshop.store.delete(location.key)
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "cache"
    assert (await workshop.derivatives.locate_missing(ORIGINAL, "small")).source == "render"
    assert await workshop.store.head(location.key) is not None


async def test_what_is_known_of_an_original_is_looked_for_again_once_a_job_for_it_was_posted(
    workshop: Workshop,
) -> None:
    await workshop.upload()
    location = await workshop.view(ORIGINAL, "small")
    await workshop.store.delete(location.key)
    workshop.derivatives.clear_failures(ORIGINAL)
    assert (await workshop.view(ORIGINAL, "small")).source == "render"
    assert await workshop.store.head(location.key) is not None


async def test_a_job_of_old_may_be_for_what_is_no_originals_key_any_more(workshop: Workshop) -> None:
    workshop.derivatives.clear_failures("photos/a.jpg")


async def test_where_the_time_went_is_told_of_a_failure_too(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"this is not a picture")
    await workshop.upload(path=tmp_path / "text.jpg")
    timings = Timings()
    with pytest.raises(NotAnImage):
        await workshop.derivatives.locate(ORIGINAL, "small", timings)
    assert timings.store_seconds > 0
    assert timings.render_seconds > 0


async def test_a_store_that_takes_nothing_costs_time_at_the_store_not_of_rendering_only(workshop: Workshop) -> None:
    await workshop.upload()
    workshop.store.fault = StoreUnavailable("down")
    timings = Timings()
    with pytest.raises(StoreUnavailable):
        await workshop.derivatives.locate(ORIGINAL, "small", timings)
    assert timings.store_seconds > 0
    assert timings.render_seconds == 0


async def test_five_hundred_callers_of_what_was_forgotten_ask_the_store_once(workshop: Workshop) -> None:
    await workshop.upload()
    await workshop.plant("gall/58/58_1_small.jpg")
    location = await asyncio.gather(*(workshop.derivatives.locate(ORIGINAL, "small") for _ in range(500)))
    assert {one.source for one in location} == {"store"}
    assert workshop.calls == {"head": 1}


@pytest.mark.parametrize("size", ["small", "original"])
async def test_five_hundred_callers_of_what_is_not_there_are_told_by_one_question(
    workshop: Workshop, size: str
) -> None:
    views = [workshop.derivatives.locate(ORIGINAL, size) for _ in range(500)]
    faults = await asyncio.gather(*views, return_exceptions=True)
    assert {type(fault) for fault in faults} == {NotFound}
    assert workshop.calls["head"] <= 2


async def test_five_hundred_callers_of_a_bad_original_ask_twice(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"this is not a picture")
    await workshop.upload(path=tmp_path / "text.jpg")
    with pytest.raises(NotAnImage):
        await workshop.derivatives.locate(ORIGINAL, "small")
    workshop.calls.clear()
    views = [workshop.derivatives.locate(ORIGINAL, "small") for _ in range(500)]
    faults = await asyncio.gather(*views, return_exceptions=True)
    assert {type(fault) for fault in faults} == {NotAnImage}
    assert workshop.calls == {"head": 2}


async def test_who_asks_after_a_purge_is_not_told_what_was_seen_before_it(workshop: Workshop) -> None:
    await workshop.upload()
    await workshop.plant("gall/58/58_1_small.jpg")
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def be_slow() -> None:
        looked.set()
        await go_on.wait()

    workshop.store.after_head = be_slow
    before = asyncio.create_task(workshop.derivatives.locate(ORIGINAL, "small"))
    await looked.wait()
    workshop.store.after_head = None
    await workshop.derivatives.purge(ORIGINAL)
    after = await workshop.derivatives.locate(ORIGINAL, "small")
    go_on.set()
    assert ((await before).source, after.source) == ("store", "render")


async def test_one_that_only_tries_again_does_not_forget_how_often_it_went_wrong(
    photo: Path, policy: GenerationPolicy
) -> None:
    hurried = RenderPool(admission=Admission(slots=2, budget_bytes=BUDGET_BYTES), deadline_seconds=0.0001)
    workshop = open_workshop(hurried, photo=photo, policy=policy)
    await workshop.upload()
    for attempt in range(3):
        made = await workshop.derivatives.generate(ORIGINAL, clears_failures=attempt == 0)
        assert isinstance(made.fault, DeadlineExceeded)
    workshop.calls.clear()
    with pytest.raises(DeadlineExceeded):
        await workshop.derivatives.locate(ORIGINAL, "small")
    assert workshop.calls["fetch"] == 0
    workshop.derivatives.clear_failures(ORIGINAL)
    with pytest.raises(DeadlineExceeded):
        await workshop.derivatives.locate(ORIGINAL, "small")
    assert workshop.calls["fetch"] == 1
    await hurried.close()


async def test_what_is_underway_ends_when_everything_ends(workshop: Workshop) -> None:
    await workshop.upload()
    at_store = asyncio.Event()

    async def hang() -> None:
        at_store.set()
        await asyncio.Event().wait()

    workshop.store.after_head = hang
    view = asyncio.create_task(workshop.derivatives.locate(ORIGINAL, "small"))
    await at_store.wait()
    await workshop.derivatives.close()
    with pytest.raises(asyncio.CancelledError):
        await view
