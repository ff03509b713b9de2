"""Which keys of a store are, or were once, derivatives of an original."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from proxy.derivatives.recipe import PROFILE
from proxy.errors import BadKey, StoreRefused
from proxy.keys.shadow import REPLACED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.derivatives.recipe import Recipe
    from proxy.keys.layouts import Layout
    from proxy.keys.shadow import Shadow
    from proxy.stores.base import Store


async def find_derivatives(store: Store, recipe: Recipe, original: str) -> tuple[str, ...]:
    """Give the keys of an original's derivatives at every size, there or not, and at sizes that were once configured.

    So too what is there of it elsewhere: in a shadow that was, or kept by a promotion. Those that only look like
    derivatives, beside an original of the site, count if their metadata says that they are. Where the credentials may
    not list, only today's sizes are known.
    """
    keys = [recipe.key(original, size) for size in recipe.names]
    with suppress(StoreRefused):
        keys += [key async for key in _keys_we_made(store, recipe.layout, original) if key not in keys]
    for layout in recipe.other_layouts:
        keys += await _find_elsewhere(store, layout, original)
    return tuple(keys)


async def _find_elsewhere(store: Store, layout: Shadow, original: str) -> list[str]:
    try:
        layout.check_original(original)
    except BadKey:  # it lies there itself, or its derivatives' keys would be too long there
        return []
    # A promotion keeps what another backend made too, which has no metadata of ours.
    found = _keys_that_match if layout.prefix == REPLACED else _keys_we_made
    try:
        return [key async for key in found(store, layout, original) if key != layout.prefix + original]
    except StoreRefused:
        return [layout.derivative(original, size) for size in layout.sizes]


async def _keys_we_made(store: Store, layout: Layout, original: str) -> AsyncIterator[str]:
    async for key in _keys_that_match(store, layout, original):
        blob = await store.head(key)
        if blob and PROFILE in blob.attributes.metadata:
            yield key


async def _keys_that_match(store: Store, layout: Layout, original: str) -> AsyncIterator[str]:
    prefix, pattern = layout.derivative_pattern(original)
    async for listed in store.list(prefix):
        if listed.key != original and pattern.fullmatch(listed.key):
            yield listed.key
