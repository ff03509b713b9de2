"""What a picture costs: lookups side by side, a render only if a size is missing, and never a second one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import NotAnImage
from proxy.derivatives.picture.lookups import Pictures
from proxy.errors import BadKey, NotFound
from proxy.keys.addresses import PublicAddresses
from tests.proxy.conftest import ORIGINAL, CountingStore, Workshop, open_workshop
from tests.proxy.derivatives.test_provenance import ForgetfulStore

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.rendering.pool import RenderPool

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
