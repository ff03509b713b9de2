"""The step that determines which sizes of an original are due; it changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.bulk.events import OriginalDone
from proxy.errors import NotFound

if TYPE_CHECKING:
    from proxy.derivatives.recipe import Recipe
    from proxy.derivatives.results import Remake
    from proxy.stores.base import Blob, Store

ASKED = "requested by --all"
"""The reason for every derivative with --all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspector:
    """A step that inspects derivatives by the rules of the renderer; `libvips` is the version that renders."""

    store: Store
    recipe: Recipe
    sizes: tuple[str, ...]
    """The names of the sizes to inspect, of those at which an original exists."""
    remake: Remake
    libvips: str

    async def inspect(self, key: str) -> OriginalDone:
        """Return which sizes of an original are due, and why.

        Raises:
            ImagesError: the original cannot be inspected.
        """
        reasons = await self._reasons(key)
        return OriginalDone(key=key, result="due" if reasons else "fresh", reasons=reasons)

    async def _reasons(self, key: str) -> dict[str, str]:
        self.recipe.check(key, [])
        sizes = self.recipe.names_of(key, among=self.sizes)
        original = await self.store.head(key)
        if original is None:
            raise NotFound(f"The store has no original {key!r}.")
        if self.remake == "all":
            return dict.fromkeys(sizes, ASKED)
        existing = await asyncio.gather(*(self.store.head(self.recipe.key(key, size)) for size in sizes))
        reasons = {size: self._reason(blob, original, size) for size, blob in zip(sizes, existing, strict=True)}
        return {size: reason for size, reason in reasons.items() if reason}

    def _reason(self, existing: Blob | None, original: Blob, size: str) -> str | None:
        if existing is None:
            return "missing"
        if self.remake == "missing":
            return None
        return self.recipe.staleness(existing, original=original, size=size, libvips=self.libvips)
