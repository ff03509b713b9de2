"""The steps that copy derivatives from the shadow to the live names, keep what was there, and undo it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.bulk.events import OriginalDone
from proxy.derivatives.recipe import ETAG, PROFILE
from proxy.keys.shadow import REPLACED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from proxy.keys.layouts import Layout
    from proxy.stores.base import Blob, Store

COPIED, NOT_MADE, NOT_PASSED = "would be copied", "nothing of it in the shadow", "did not pass the comparison"
MADE_ANEW: Final = "made anew since the comparison"
MADE_SINCE: Final = f"another was made since; the old one stays below {REPLACED}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedKeys:
    """The three keys of one derivative: in the shadow, live, and where its predecessor is kept."""

    shadow: str
    live: str
    replaced: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionLayouts:
    """The same names in three places."""

    shadow: Layout
    live: Layout
    replaced: Layout

    def names(self, original: str, size: str) -> PromotedKeys:
        """Return the keys of an original at a size."""
        return PromotedKeys(
            shadow=self.shadow.derivative(original, size),
            live=self.live.derivative(original, size),
            replaced=self.replaced.derivative(original, size),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """Copies derivatives to the live names, original by original.

    The derivatives themselves show what has been copied, so a run that was killed is simply run again. Each live name
    changes from the old derivative to the new one in one step, after the old one is safe below `REPLACED`.
    """

    store: Store
    layouts: PromotionLayouts
    sizes: tuple[str, ...]
    objection: Callable[[str, str, Blob], str]
    """Why a size of an original may not go live as it lies in the shadow; empty where it may."""
    is_dry: bool = False
    """Only return what would be done."""

    async def promote(self, original: str) -> OriginalDone:
        """Copy the sizes that have passed.

        Raises:
            StoreError: the store is unavailable, or refuses to copy.
        """
        return await self._run_sizes(original, lambda size: self._promote(original, size))

    async def undo(self, original: str) -> OriginalDone:
        """Put back what was live before, or delete where nothing was; only where the derivative of the shadow is live.

        A derivative that was made since stays, and so does what is kept of before.

        Raises:
            StoreError: the store is unavailable, or refuses to copy.
        """
        return await self._run_sizes(original, lambda size: self._undo(original, size))

    async def _run_sizes(self, original: str, step: Callable[[str], Coroutine[object, object, str]]) -> OriginalDone:
        outcomes = dict(zip(self.sizes, await asyncio.gather(*map(step, self.sizes)), strict=True))
        left = {size: why for size, why in outcomes.items() if why and (why != COPIED or self.is_dry)}
        if left:
            return OriginalDone(key=original, result="due", why=left)
        return OriginalDone(key=original, result="made" if COPIED in outcomes.values() else "fresh")

    async def _promote(self, original: str, size: str) -> str:
        names = self.layouts.names(original, size)
        new, old = await self._look(names)
        if new is None:
            return NOT_MADE
        if are_alike(new, old):
            return ""
        if why_not := self.objection(original, size, new):
            return why_not
        if not self.is_dry:
            if old and await self.store.head(names.replaced) is None:
                await self.store.copy(names.live, names.replaced)
            await self.store.copy(names.shadow, names.live)
        return COPIED

    async def _undo(self, original: str, size: str) -> str:
        names = self.layouts.names(original, size)
        new, now = await self._look(names)
        before = await self.store.head(names.replaced)
        is_promoted = new is not None and are_alike(new, now)
        if before and not is_promoted and not are_alike(before, now):
            return MADE_SINCE
        if not self.is_dry:
            await self._put_back(names, before, is_promoted=is_promoted)
        return COPIED if is_promoted else ""

    async def _put_back(self, names: PromotedKeys, before: Blob | None, *, is_promoted: bool) -> None:
        if is_promoted and before:
            await self.store.copy(names.replaced, names.live)
        elif is_promoted:
            await self.store.delete(names.live)
        if before:
            await self.store.delete(names.replaced)

    async def _look(self, names: PromotedKeys) -> tuple[Blob | None, Blob | None]:
        new, old = await asyncio.gather(self.store.head(names.shadow), self.store.head(names.live))
        return new, old


def are_alike(one: Blob, other: Blob | None) -> bool:
    """Return whether two derivatives have the same bytes: made of the same original by the same recipe."""
    return other is not None and _made_from(one) == _made_from(other)


def _made_from(blob: Blob) -> tuple[str | None, str | None, int]:
    metadata = blob.attributes.metadata
    return metadata.get(PROFILE), metadata.get(ETAG), blob.bytes
