"""Promotion from the shadow to the live names, and its undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.bulk.promote.promotion import (
    CHANGED_SINCE,
    NOT_IN_SHADOW,
    NOT_PASSED,
    RENDERED_SINCE,
    Promotion,
    PromotionLayouts,
)
from proxy.derivatives.recipe import ETAG, PROFILE
from proxy.keys.layouts import SiteLayout
from proxy.keys.shadow import Shadow
from proxy.stores.base import Attributes
from proxy.stores.memory import MemoryStore
from tests.proxy.stores.blobs import get, keys, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy.stores.base import Blob

pytestmark = pytest.mark.anyio

SIZES = ("small", "large")
ORIGINAL = "gall/1_original.jpg"
LIVE = SiteLayout(sizes=SIZES)


class Killed(BaseException):
    """A simulated kill of the process."""


class Falling(MemoryStore):
    """A store whose process is killed after `copies` copies."""

    def __init__(self, copies: int) -> None:
        super().__init__()
        self.left = copies

    async def copy(self, source: str, target: str) -> object:  # type: ignore[override] # the result is unused
        if not self.left:
            raise Killed
        self.left -= 1
        return await super().copy(source, target)


class Keeping(MemoryStore):
    """A store whose process is killed after `deletions` deletions."""

    def __init__(self, deletions: int) -> None:
        super().__init__()
        self.left = deletions

    async def delete(self, key: str) -> None:
        if not self.left:
            raise Killed
        self.left -= 1
        await super().delete(key)


def promotion(
    store: MemoryStore,
    *,
    is_dry: bool = False,
    objection: Callable[[str, str, Blob], str] = lambda _original, _size, _new: "",
) -> Promotion:
    layouts = PromotionLayouts(
        shadow=Shadow(live=LIVE, prefix="shadow/"),
        live=LIVE,
        replaced=Shadow(live=LIVE, prefix="replaced/"),
    )
    return Promotion(store=store, layouts=layouts, sizes=SIZES, objection=objection, is_dry=is_dry)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "body"


async def fill(store: MemoryStore, path: Path, *, old: bytes = b"old small") -> dict[str, bytes]:
    """Put two new derivatives into the shadow, and an old one, only of the small size, under its live name."""
    for size in SIZES:
        made = Attributes(content_type="image/jpeg", metadata={PROFILE: "new", ETAG: "etag"})
        await put(store, f"shadow/gall/1_{size}.jpg", f"new {size}".encode(), path, made)
    await put(store, "gall/1_small.jpg", old, path)
    return await everything(store)


async def everything(store: MemoryStore) -> dict[str, bytes]:
    return {key: await get(store, key) for key in await keys(store)}


async def test_what_is_in_the_shadow_goes_live_and_what_was_live_is_kept(path: Path) -> None:
    store = MemoryStore()
    before = await fill(store, path)
    assert (await promotion(store).promote(ORIGINAL)).result == "promoted"
    assert await everything(store) == before | {
        "gall/1_small.jpg": b"new small",
        "gall/1_large.jpg": b"new large",
        "replaced/gall/1_small.jpg": b"old small",
    }
    live = await store.head("gall/1_large.jpg")
    assert live is not None
    assert live.attributes.metadata[PROFILE] == "new"


async def test_it_is_done_once_however_often_it_is_asked_for(path: Path) -> None:
    store = MemoryStore()
    await fill(store, path)
    await promotion(store).promote(ORIGINAL)
    before = await everything(store)
    assert (await promotion(store).promote(ORIGINAL)).result == "fresh"
    assert await everything(store) == before


async def test_undoing_it_leaves_everything_as_it_was(path: Path) -> None:
    store = MemoryStore()
    before = await fill(store, path)
    await promotion(store).promote(ORIGINAL)
    assert (await promotion(store).undo(ORIGINAL)).result == "undone"
    assert await everything(store) == before
    assert (await promotion(store).undo(ORIGINAL)).result == "fresh"
    assert await everything(store) == before


@pytest.mark.parametrize("copies", range(3))
async def test_killed_anywhere_it_goes_on_and_can_be_undone(path: Path, copies: int) -> None:
    store = Falling(copies)
    before = await fill(store, path)
    with pytest.raises(Killed):
        await promotion(store).promote(ORIGINAL)
    store.left = 10
    await promotion(store).promote(ORIGINAL)
    await promotion(store).undo(ORIGINAL)
    assert await everything(store) == before


async def test_what_was_made_live_by_another_meanwhile_is_not_undone(path: Path) -> None:
    store = MemoryStore()
    await fill(store, path)
    await promotion(store).promote(ORIGINAL)
    await put(store, "gall/1_large.jpg", b"newer large", path)
    await promotion(store).undo(ORIGINAL)
    assert await get(store, "gall/1_large.jpg") == b"newer large"


async def test_an_undoing_gives_up_no_old_derivative_that_it_does_not_put_back(path: Path) -> None:
    store = MemoryStore()
    await fill(store, path)
    await promotion(store).promote(ORIGINAL)
    await put(store, "gall/1_small.jpg", b"newer small", path)
    before = await everything(store)
    outcome = await promotion(store).undo(ORIGINAL)
    assert (outcome.result, outcome.reasons) == ("due", {"small": CHANGED_SINCE})
    del before["gall/1_large.jpg"]
    assert await everything(store) == before
    assert (await promotion(store, is_dry=True).undo(ORIGINAL)).reasons == {"small": CHANGED_SINCE}


@pytest.mark.parametrize("deletions", range(2))
async def test_an_undoing_that_was_killed_goes_on(path: Path, deletions: int) -> None:
    store = Keeping(deletions)
    before = await fill(store, path)
    await promotion(store).promote(ORIGINAL)
    with pytest.raises(Killed):
        await promotion(store).undo(ORIGINAL)
    store.left = 10
    await promotion(store).undo(ORIGINAL)
    assert await everything(store) == before


@pytest.mark.parametrize("reason", [NOT_PASSED, RENDERED_SINCE])
async def test_what_may_not_go_live_stays_in_the_shadow_and_is_named(path: Path, reason: str) -> None:
    store = MemoryStore()
    before = await fill(store, path)
    objections = {"shadow/gall/1_small.jpg": reason}
    outcome = await promotion(store, objection=lambda _original, _size, new: objections.get(new.key, "")).promote(
        ORIGINAL
    )
    assert (outcome.result, outcome.reasons) == ("due", {"small": reason})
    assert await everything(store) == before | {"gall/1_large.jpg": b"new large"}


async def test_what_was_never_made_is_named_and_the_live_one_stays(path: Path) -> None:
    store = MemoryStore()
    await put(store, "gall/1_small.jpg", b"old", path)
    outcome = await promotion(store).promote(ORIGINAL)
    assert (outcome.result, outcome.reasons) == ("due", dict.fromkeys(SIZES, NOT_IN_SHADOW))
    assert await everything(store) == {"gall/1_small.jpg": b"old"}


async def test_a_dry_run_changes_nothing_and_says_what_it_would(path: Path) -> None:
    store = MemoryStore()
    before = await fill(store, path)
    outcome = await promotion(store, is_dry=True).promote(ORIGINAL)
    assert (outcome.result, set(outcome.reasons)) == ("due", set(SIZES))
    assert await everything(store) == before
    await promotion(store).promote(ORIGINAL)
    promoted = await everything(store)
    assert (await promotion(store, is_dry=True).undo(ORIGINAL)).result == "due"
    assert await everything(store) == promoted
