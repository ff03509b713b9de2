"""A purge deletes every derivative of an original, and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pipeline.size import Size
from proxy.derivatives.purge import find_derivatives, find_existing
from proxy.derivatives.recipe import PROFILE, Recipe
from proxy.errors import BadKey, StoreRefused
from proxy.keys.layouts import Layout, PrefixLayout, SiteLayout
from proxy.keys.shadow import REPLACED, Shadow
from proxy.stores.base import Attributes
from proxy.stores.memory import MemoryStore
from tests.proxy.conftest import ORIGINAL, SIZES, Workshop, open_workshop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob

pytestmark = pytest.mark.anyio

MADE = ["gall/58/58_1_large.jpg", "gall/58/58_1_small.jpg", "gall/58/58_1_xlarge.jpg"]
OURS = Attributes(content_type="image/jpeg", metadata={PROFILE: "1-8.18-abc"})


async def keys(store: MemoryStore) -> list[str]:
    return [blob.key async for blob in store.list()]


def other_layouts(layout: Layout) -> tuple[Shadow, ...]:
    return tuple(Shadow(live=layout, prefix=prefix) for prefix in (REPLACED, "shadow/"))


async def found(layout: Layout, original: str, *, ours: list[str], others: list[str], file: Path) -> set[str]:
    """Return which of these keys count as derivatives of an original, without those of today's sizes."""
    store = MemoryStore()
    file.write_bytes(b"bytes")
    for key in (original, *others):
        await store.put(key, file, Attributes())
    for key in ours:
        await store.put(key, file, OURS)
    recipe = Recipe(sizes=SIZES, layout=layout, cache_control="", other_layouts=other_layouts(layout))
    today = {layout.derivative(original, size.name) for size in SIZES}
    keys = await find_derivatives(store, recipe, original)
    assert today <= {*keys}
    return {*keys} - today


async def test_every_derivative_goes_and_the_original_stays(workshop: Workshop) -> None:
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL)
    for existed in (MADE, []):
        purged = await workshop.derivatives.purge(ORIGINAL)
        assert (sorted(purged.keys), sorted(purged.existed or ())) == (MADE, existed)
        assert await keys(workshop.store) == [ORIGINAL]


async def test_what_existed_is_unknown_where_the_store_may_not_be_read() -> None:
    class WriteOnly(MemoryStore):
        async def head(self, key: str) -> Blob | None:
            raise StoreRefused(f"{key}: may not be read.")

    assert await find_existing(WriteOnly(), ["a", "b"]) is None


async def test_what_is_remembered_of_it_is_forgotten(workshop: Workshop) -> None:
    await workshop.upload()
    await workshop.derivatives.locate(ORIGINAL, "small")
    await workshop.derivatives.purge(ORIGINAL)
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "render"


async def test_nothing_is_left_over_from_a_flight_in_the_air(workshop: Workshop) -> None:
    await workshop.upload()
    made, gone = await asyncio.gather(
        workshop.derivatives.generate(ORIGINAL), _purge_once_it_is_fetched(workshop, ORIGINAL)
    )
    assert (len(made.derivatives), sorted(gone)) == (3, MADE)
    assert await keys(workshop.store) == [ORIGINAL]


async def _purge_once_it_is_fetched(workshop: Workshop, original: str) -> tuple[str, ...]:
    await workshop.store.fetched.wait()
    return (await workshop.derivatives.purge(original)).keys


async def test_a_look_that_a_purge_overtakes_is_not_remembered(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    slow = SlowLook()
    workshop = open_workshop(render_pool, photo=photo, policy=policy)
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL)
    await workshop.derivatives.purge(ORIGINAL)
    await workshop.plant("gall/58/58_1_small.jpg")
    workshop.store.after_head = slow.wait
    looking = asyncio.create_task(workshop.derivatives.locate(ORIGINAL, "small"))
    await slow.begun.wait()
    workshop.store.after_head = None
    await workshop.derivatives.purge(ORIGINAL)
    slow.go.set()
    assert (await looking).source == "store"  # it existed when this lookup began
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "render"


class SlowLook:
    """A hook that delays the store's response until `go` is set."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def wait(self) -> None:
        self.begun.set()
        await self.go.wait()


async def test_a_store_that_refuses_is_told_and_the_rest_goes(workshop: Workshop) -> None:
    await workshop.upload()
    await workshop.derivatives.generate(ORIGINAL)
    workshop.store.refused = MADE[0]
    with pytest.raises(StoreRefused):
        await workshop.derivatives.purge(ORIGINAL)
    assert await keys(workshop.store) == [MADE[0], ORIGINAL]
    workshop.store.refused = None
    assert (await workshop.derivatives.locate(ORIGINAL, "large")).source == "store"


@pytest.mark.parametrize("key", ["gall/58/58_1_small.jpg", "../a_original.jpg", "", "a\0_original.jpg"])
async def test_what_is_no_originals_key_is_refused(workshop: Workshop, key: str) -> None:
    with pytest.raises(BadKey):
        await workshop.derivatives.purge(key)


async def test_sizes_once_configured_are_found_beside_an_original_of_the_site(tmp_path: Path) -> None:
    assert await found(
        SiteLayout(sizes=("small", "large", "xlarge")),
        "gall/5/5_1_original.jpg",
        ours=["gall/5/5_1_tiny.jpg", "gall/5/5_1_w-2.jpg", "gall/5/5_1_b_tiny.jpg", "gall/5/5_10_tiny.jpg"],
        others=["gall/5/5_1_notes.jpg", "gall/5/5_1_tiny.png", "gall/5/5_1_original.png", "gall/5/5_1_b_original.jpg"],
        file=tmp_path / "file",
    ) == {"gall/5/5_1_tiny.jpg", "gall/5/5_1_w-2.jpg"}


async def test_sizes_once_configured_are_found_below_their_prefix(tmp_path: Path) -> None:
    assert await found(
        PrefixLayout(sizes=("small", "large", "xlarge")),
        "photos/a.jpg",
        ours=["derivatives/photos/a.jpg/tiny.webp", "derivatives/photos/a.jpg/b.jpg/small.jpg"],
        others=["derivatives/photos/a.jpg/read.me", "photos/a.jpg.txt", "photos/a.jpg/small.jpg"],
        file=tmp_path / "file",
    ) == {"derivatives/photos/a.jpg/tiny.webp"}


async def test_what_was_tried_and_what_was_replaced_are_found_below_their_prefixes(tmp_path: Path) -> None:
    assert await found(
        SiteLayout(sizes=("small", "large", "xlarge")),
        "gall/5/5_1_original.jpg",
        ours=["shadow/gall/5/5_1_small.jpg", "shadow/gall/5/5_1_tiny.jpg", "shadow/gall/5/5_10_small.jpg"],
        others=[
            "replaced/gall/5/5_1_small.jpg",
            "replaced/gall/5/5_1_tiny.jpg",
            "replaced/gall/5/5_1_original.jpg",
            "replaced/gall/5/5_1_b_small.jpg",
            "shadow/gall/5/5_1_large.jpg",
            "tried/gall/5/5_1_small.jpg",
        ],
        file=tmp_path / "file",
    ) == {
        "replaced/gall/5/5_1_small.jpg",
        "replaced/gall/5/5_1_tiny.jpg",
        "shadow/gall/5/5_1_small.jpg",
        "shadow/gall/5/5_1_tiny.jpg",
    }


async def test_what_was_tried_and_what_was_replaced_are_found_in_the_other_layout(tmp_path: Path) -> None:
    assert await found(
        PrefixLayout(sizes=("small", "large", "xlarge")),
        "photos/a.jpg",
        ours=["shadow/derivatives/photos/a.jpg/small.jpg"],
        others=["replaced/derivatives/photos/a.jpg/tiny.webp", "replaced/derivatives/photos/b.jpg/small.jpg"],
        file=tmp_path / "file",
    ) == {"shadow/derivatives/photos/a.jpg/small.jpg", "replaced/derivatives/photos/a.jpg/tiny.webp"}


@pytest.mark.parametrize(
    "original", ["shadow/5_1_original.jpg", "replaced/5_1_original.jpg", "a" * 1000 + "_original.jpg"]
)
async def test_an_original_that_can_have_none_below_a_prefix_is_purged_all_the_same(
    tmp_path: Path, original: str
) -> None:
    layout = SiteLayout(sizes=("small", "large", "xlarge"))
    assert await found(layout, original, ours=[], others=[], file=tmp_path / "file") == set()


class Unlisted(MemoryStore):
    """A store whose credentials may not list."""

    def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        raise StoreRefused(f"Its policy must allow s3:ListBucket below {prefix!r}, behind {after!r}.")


async def test_where_nothing_may_be_listed_todays_sizes_are_known_in_every_place() -> None:
    layout = SiteLayout(sizes=("small",))
    sizes = (Size(name="small", width=3),)
    recipe = Recipe(sizes=sizes, layout=layout, cache_control="", other_layouts=other_layouts(layout))
    small = "gall/58/58_1_small.jpg"
    assert await find_derivatives(Unlisted(), recipe, ORIGINAL) == (small, f"replaced/{small}", f"shadow/{small}")
