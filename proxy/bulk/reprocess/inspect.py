"""Why an original needs something done, found out without doing it."""

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

ASKED = "asked for"
"""Why a fresh derivative is due where all are to be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspector:
    """Looks at an original's derivatives as making them would; `libvips` is the version that renders."""

    store: Store
    recipe: Recipe
    sizes: tuple[str, ...]
    remake: Remake
    libvips: str

    async def inspect(self, key: str) -> OriginalDone:
        """Tell which sizes of an original are due, and why.

        Raises:
            ImagesError: the original cannot be looked at.
        """
        why = await self._why(key)
        return OriginalDone(key=key, result="due" if why else "fresh", why=why)

    async def _why(self, key: str) -> dict[str, str]:
        self.recipe.check(key, self.sizes)
        original = await self.store.head(key)
        if original is None:
            raise NotFound(f"There is no original {key!r} in the store.")
        if self.remake == "all":
            return dict.fromkeys(self.sizes, ASKED)
        there = await asyncio.gather(*(self.store.head(self.recipe.key(key, size)) for size in self.sizes))
        reasons = {size: self._reason(blob, original, size) for size, blob in zip(self.sizes, there, strict=True)}
        return {size: reason for size, reason in reasons.items() if reason}

    def _reason(self, there: Blob | None, original: Blob, size: str) -> str | None:
        if there is None:
            return "missing"
        if self.remake == "missing":
            return None
        return self.recipe.staleness(there, original=original, size=size, libvips=self.libvips)
