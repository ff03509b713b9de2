"""What a picture costs: lookups side by side, a render only if a size is missing, and never a second one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from pipeline.errors import NeedsTooMuchMemory, NotAnImage
from proxy.concurrency.admission import Admission
from proxy.derivatives.picture.lookups import Pictures
from proxy.errors import BadKey, NotFound
from proxy.keys.addresses import PublicAddresses
from proxy.rendering.pool import RenderPool
from proxy.stores.base import Attributes
from tests.proxy.conftest import ORIGINAL, CountingStore, Workshop, open_workshop
from tests.proxy.derivatives import test_alone
from tests.proxy.derivatives.test_provenance import ForgetfulStore

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy

pytestmark = pytest.mark.anyio

OLDER = ("width", "height", "render-profile", "original-etag")
"""The metadata that version 7 stored."""


def pictures_of(workshop: Workshop) -> Pictures:
    return Pictures(store=workshop.store, derivatives=workshop.derivatives, addresses=PublicAddresses("/files"))


async def strip(store: CountingStore, path: Path, *names: str) -> None:
    """Leave only these metadata on every derivative, as an older version or another store would."""
    async for blob in store.list():
        if blob.key != ORIGINAL:
            kept = {name: value for name, value in blob.attributes.metadata.items() if name in names}
            await store.fetch(blob.key, path, max_bytes=1 << 20)
            await store.put(blob.key, path, replace(blob.attributes, metadata=kept))
    store.calls.clear()


async def test_a_known_picture_costs_a_lookup_for_each_size_and_nothing_else(workshop: Workshop) -> None:
    await workshop.upload()
    pictures = pictures_of(workshop)
    rendered = await pictures.describe(ORIGINAL)
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)
    assert (rendered.width, rendered.height, rendered.format, rendered.animated) == (480, 360, "jpeg", False)
    assert rendered.placeholder.lqip
    await workshop.derivatives.close(grace_seconds=60)
    workshop.calls.clear()
    assert await pictures.describe(ORIGINAL) == rendered
    assert workshop.calls == {"head": 3}


async def test_a_known_picture_needs_no_original(workshop: Workshop) -> None:
    await workshop.upload()
    rendered = await pictures_of(workshop).describe(ORIGINAL)
    await workshop.store.delete(ORIGINAL)
    assert await pictures_of(workshop).describe(ORIGINAL) == rendered


async def test_lookups_are_made_side_by_side(workshop: Workshop) -> None:
    await workshop.upload()
    pictures = pictures_of(workshop)
    await pictures.describe(ORIGINAL)
    arrived, all_there = 0, asyncio.Event()

    async def wait_for_all() -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 3:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), timeout=20)

    workshop.store.after_head = wait_for_all
    await pictures.describe(ORIGINAL)


async def test_a_crowd_shares_one_render_with_page_views(workshop: Workshop) -> None:
    await workshop.upload()
    pictures = pictures_of(workshop)
    views = [workshop.derivatives.locate(ORIGINAL, size) for size in ("small", "large")]
    described = await asyncio.gather(*(pictures.describe(ORIGINAL) for _ in range(20)), *views)
    assert workshop.calls["fetch"] == 1
    assert workshop.calls["put"] == 3
    assert {id(one) for one in described[:20]} == {id(described[0])}


async def test_only_what_is_missing_is_rendered(workshop: Workshop) -> None:
    await workshop.upload()
    pictures = pictures_of(workshop)
    whole = await pictures.describe(ORIGINAL)
    await workshop.derivatives.close(grace_seconds=60)
    await workshop.store.delete("gall/58/58_1_large.jpg")
    workshop.calls.clear()
    assert await pictures.describe(ORIGINAL) == whole
    assert workshop.calls["put"] == 1


async def test_what_is_wrong_with_an_original_is_reported_and_remembered(workshop: Workshop, tmp_path: Path) -> None:
    pictures = pictures_of(workshop)
    with pytest.raises(BadKey):
        await pictures.describe("no original.jpg")
    for _ in range(2):
        with pytest.raises(NotFound):
            await pictures.describe(ORIGINAL)
    assert workshop.calls["fetch"] == 1
    broken = tmp_path / "broken"
    broken.write_bytes(b"no picture")
    other = ORIGINAL.replace("_1_", "_2_")
    await workshop.upload(other, broken)
    for _ in range(2):
        with pytest.raises(NotAnImage):
            await pictures.describe(other)
    assert workshop.calls["fetch"] == 1


async def test_derivatives_of_an_older_version_are_described_without_a_render(
    workshop: Workshop, tmp_path: Path
) -> None:
    await workshop.upload()
    pictures = pictures_of(workshop)
    whole = await pictures.describe(ORIGINAL)
    await strip(workshop.store, tmp_path / "blob", *OLDER)
    older = await pictures.describe(ORIGINAL)
    assert workshop.calls == {"head": 3}
    assert (older.sizes, older.srcset) == (whole.sizes, whole.srcset)
    assert (older.width, older.height, older.color, older.placeholder.lqip) == (None,) * 4
    await workshop.derivatives.generate(ORIGINAL)  # as a job or reprocessing does
    assert workshop.calls["put"] == 1
    assert await pictures.describe(ORIGINAL) == whole


async def test_a_store_that_returns_no_metadata_leaves_nulls_and_renders_no_picture_for_each_request(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=ForgetfulStore())
    await workshop.upload()
    pictures = pictures_of(workshop)
    first = await pictures.describe(ORIGINAL)
    assert (first.width, first.color, first.srcset) == (None, None, {})
    assert [(size.width, bool(size.bytes)) for size in first.sizes] == [(None, True)] * 3
    workshop.calls.clear()
    assert await pictures.describe(ORIGINAL) == first
    assert set(workshop.calls) == {"head"}
    result = await workshop.derivatives.generate(ORIGINAL)
    summaries = [one.summary for one in result.derivatives if one.summary]
    assert [(one.width, one.height) for one in summaries] == [(480, 360)]


async def test_a_copy_that_cannot_be_made_is_left_out_and_tried_once(tmp_path: Path, policy: GenerationPolicy) -> None:
    admission = Admission(slots=1, budget_bytes=test_alone.BUDGET_BYTES, waiting=9)
    pool = RenderPool(admission=admission, deadline_seconds=60)
    await pool.start()
    photo = test_alone.turned(tmp_path / "turned.png")
    workshop = open_workshop(pool, photo=photo, policy=policy, sizes=test_alone.SIZES)
    alone = open_workshop(pool, photo=photo, policy=policy, sizes=(test_alone.FULL,))
    await workshop.upload()
    await alone.upload()
    try:
        picture = await pictures_of(workshop).describe(ORIGINAL)
        assert [one.size for one in picture.sizes] == ["small", "large"]
        assert (picture.width, picture.height, bool(picture.color)) == (990, 1000, True)
        workshop.calls.clear()
        assert await pictures_of(workshop).describe(ORIGINAL) == picture
        assert (workshop.calls["fetch"], workshop.calls["put"]) == (0, 0)
        with pytest.raises(NeedsTooMuchMemory):  # there is nothing else to describe
            await pictures_of(alone).describe(ORIGINAL)
        await workshop.store.delete(ORIGINAL)
        with pytest.raises(NotFound):  # it is missing, but not impossible
            await pictures_of(workshop).describe(ORIGINAL)
    finally:
        for one in (workshop, alone):
            await one.derivatives.close(grace_seconds=60)
        await pool.close()


async def test_a_description_never_mixes_two_originals(workshop: Workshop, tmp_path: Path) -> None:
    await workshop.upload()
    pictures = pictures_of(workshop)
    before = await pictures.describe(ORIGINAL)
    await workshop.derivatives.close(grace_seconds=60)
    wide = tmp_path / "wide.jpg"
    paint(wide, Photograph(width=900, height=300))
    await workshop.upload(path=wide)
    assert await pictures.describe(ORIGINAL) == before  # as page views are sent to it, until a job renews it

    await workshop.derivatives.generate(ORIGINAL, ["large"])
    mixed = await pictures.describe(ORIGINAL)
    assert [one.size for one in mixed.sizes] == ["small", "xlarge"]
    assert (mixed.width, mixed.height) == (480, 360)

    await workshop.derivatives.generate(ORIGINAL, ["small"])
    newer = await pictures.describe(ORIGINAL)
    assert [(one.size, one.width, one.height) for one in newer.sizes] == [("small", 60, 20), ("large", 240, 80)]
    assert (newer.width, newer.height) == (900, 300)
    assert newer.srcset == {"image/jpeg": "/files/gall/58/58_1_small.jpg 60w, /files/gall/58/58_1_large.jpg 240w"}

    await workshop.derivatives.generate(ORIGINAL)
    assert [one.size for one in (await pictures.describe(ORIGINAL)).sizes] == ["small", "large", "xlarge"]


async def test_what_replaced_a_derivative_and_is_no_picture_is_rendered_again_at_once(
    workshop: Workshop, tmp_path: Path
) -> None:
    await workshop.upload()
    pictures = pictures_of(workshop)
    whole = await pictures.describe(ORIGINAL)
    await workshop.derivatives.close(grace_seconds=60)
    text = tmp_path / "text"
    text.write_bytes(b"no picture")
    key = workshop.derivatives.recipe.key(ORIGINAL, "small")
    assert workshop.derivatives.known_version(key)
    await workshop.store.put(key, text, Attributes(content_type="text/plain"))
    assert [one.size for one in await pictures.others(ORIGINAL, known=["large"])] == ["xlarge"]
    assert await pictures.describe(ORIGINAL) == whole
    blob = await workshop.store.head(key)
    assert blob
    assert blob.attributes.content_type == "image/jpeg"
