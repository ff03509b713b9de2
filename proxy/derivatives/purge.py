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
        keys += [key async for key in _made(store, recipe.layout, original) if key not in keys]
    for place in recipe.elsewhere:
        keys += await _find_elsewhere(store, place, original)
    return tuple(keys)


async def _find_elsewhere(store: Store, place: Shadow, original: str) -> list[str]:
    try:
        place.check_original(original)
    except BadKey:  # it lies there itself, or its derivatives' keys would be too long there
        return []
    # A promotion keeps what another backend made too, which has no metadata of ours.
    found = _looking_so if place.prefix == REPLACED else _made
    try:
        return [key async for key in found(store, place, original) if key != place.prefix + original]
    except StoreRefused:
        return [place.derivative(original, size) for size in place.sizes]


async def _made(store: Store, layout: Layout, original: str) -> AsyncIterator[str]:
    async for key in _looking_so(store, layout, original):
        blob = await store.head(key)
        if blob and PROFILE in blob.attributes.metadata:
            yield key


async def _looking_so(store: Store, layout: Layout, original: str) -> AsyncIterator[str]:
    prefix, pattern = layout.traces(original)
    async for listed in store.list(prefix):
        if listed.key != original and pattern.fullmatch(listed.key):
            yield listed.key
