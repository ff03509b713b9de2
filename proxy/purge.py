"""Which keys of a store are, or were once, derivatives of an original."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import StoreRefused
from proxy.recipe import PROFILE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.recipe import Recipe
    from proxy.stores.base import Store


async def find_derivatives(store: Store, recipe: Recipe, original: str) -> tuple[str, ...]:
    """Give the keys of an original's derivatives at every size, there or not, and at sizes that were once configured.

    Those that only look like derivatives, beside an original of the site, count if their metadata says that they are.
    Where the credentials may not list, only today's sizes are known.
    """
    keys = [recipe.key(original, size) for size in recipe.names]
    try:
        return (*keys, *[key async for key in _once_configured(store, recipe, original) if key not in keys])
    except StoreRefused:
        return tuple(keys)


async def _once_configured(store: Store, recipe: Recipe, original: str) -> AsyncIterator[str]:
    prefix, pattern = recipe.layout.traces(original)
    async for listed in store.list(prefix):
        if listed.key != original and pattern.fullmatch(listed.key):
            blob = await store.head(listed.key)
            if blob and PROFILE in blob.attributes.metadata:
                yield listed.key
