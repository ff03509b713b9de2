"""The steps that copy derivatives from the shadow to the live names, keep the old ones, and undo that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.bulk.events import OriginalDone
from proxy.derivatives.recipe import ETAG, PROFILE
from proxy.keys.shadow import REPLACED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from proxy.bulk.events import Change
    from proxy.keys.layouts import Layout
    from proxy.stores.base import Blob, Store

WOULD_COPY: Final = "would be copied"
WOULD_UNDO: Final = "would be undone"
NOT_IN_SHADOW: Final = "not in the shadow"
NOT_PASSED: Final = "did not pass the comparison"
RENDERED_SINCE: Final = "rendered since the comparison"
CHANGED_SINCE: Final = f"changed since the promotion (the old one stays below {REPLACED})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedKeys:
    """The three keys of one derivative: in the shadow, live, and of its kept predecessor."""

    shadow: str
    live: str
    replaced: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionLayouts:
    """The layouts of the shadow, of the live names and of the replaced derivatives."""

    shadow: Layout
    live: Layout
    replaced: Layout

    def names(self, original: str, size: str) -> PromotedKeys:
        """Return the three keys of an original at a size."""
        return PromotedKeys(
            shadow=self.shadow.derivative(original, size),
            live=self.live.derivative(original, size),
            replaced=self.replaced.derivative(original, size),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The promotion of derivatives to the live names, one original at a time.

    The derivatives themselves show what has been copied, so a killed run is simply run again. Each live name changes
    atomically from the old derivative to the new one, after the old one was copied below `REPLACED`.
    """

    store: Store
    layouts: PromotionLayouts
    sizes: tuple[str, ...]
    """The names of the sizes to promote, of those at which an original exists."""
    objection: Callable[[str, str, Blob], str]
    """Returns why the derivative of an original at a size must not be promoted; empty if it may be."""
    is_dry: bool = False
    """Whether to return only what would be done."""

    async def promote(self, original: str) -> OriginalDone:
        """Copy the sizes that may be promoted to their live names; return the outcome.

        Raises:
            StoreError: the store is unavailable, or refuses to copy.
        """
        outcomes = await self._run_sizes(original, lambda size: self._promote(original, size))
        return self._done(original, outcomes, change="promoted", pending=WOULD_COPY)

    async def undo(self, original: str) -> OriginalDone:
        """Restore the old derivatives wherever those of the shadow are live; return the outcome.

        A live derivative without a predecessor is deleted. A live derivative that was rendered since the promotion
        stays, and so does its kept predecessor.

        Raises:
            StoreError: the store is unavailable, or refuses to copy.
        """
        outcomes = await self._run_sizes(original, lambda size: self._undo(original, size))
        return self._done(original, outcomes, change="undone", pending=WOULD_UNDO)

    async def _run_sizes(self, original: str, step: Callable[[str], Coroutine[object, object, str]]) -> dict[str, str]:
        sizes = [size for size in self.layouts.live.sizes_of(original) if size in self.sizes]
        return dict(zip(sizes, await asyncio.gather(*map(step, sizes)), strict=True))

    def _done(self, original: str, outcomes: dict[str, str], *, change: Change, pending: str) -> OriginalDone:
        left = {size: reason for size, reason in outcomes.items() if reason and (reason != pending or self.is_dry)}
        if left:
            return OriginalDone(key=original, result="due", reasons=left)
        return OriginalDone(key=original, result=change if pending in outcomes.values() else "fresh")

    async def _promote(self, original: str, size: str) -> str:
        names = self.layouts.names(original, size)
        new, old = await self._look(names)
        if new is None:
            return NOT_IN_SHADOW
        if are_alike(new, old):
            return ""
        if why_not := self.objection(original, size, new):
            return why_not
        if not self.is_dry:
            if old and await self.store.head(names.replaced) is None:
                await self.store.copy(names.live, names.replaced)
            await self.store.copy(names.shadow, names.live)
        return WOULD_COPY

    async def _undo(self, original: str, size: str) -> str:
        names = self.layouts.names(original, size)
        new, now = await self._look(names)
        before = await self.store.head(names.replaced)
        is_promoted = new is not None and are_alike(new, now)
        if before and not is_promoted and not are_alike(before, now):
            return CHANGED_SINCE
        if not self.is_dry:
            await self._put_back(names, before, is_promoted=is_promoted)
        return WOULD_UNDO if is_promoted else ""

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
    """Return whether two derivatives are the same: rendered from the same original with the same render profile."""
    return other is not None and _made_from(one) == _made_from(other)


def _made_from(blob: Blob) -> tuple[str | None, str | None, int]:
    metadata = blob.attributes.metadata
    return metadata.get(PROFILE), metadata.get(ETAG), blob.bytes
