"""Deletes the derivatives of an original, including those of earlier configurations."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.derivatives.recipe import PROFILE
from proxy.errors import BadKey, StoreError, StoreRefused
from proxy.keys.shadow import REPLACED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from proxy.derivatives.recipe import Recipe
    from proxy.keys.layouts import Layout
    from proxy.keys.shadow import Shadow
    from proxy.stores.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgedKeys:
    """The keys under which nothing exists any longer, and those of them that existed before, as far as that is known.

    `existed` is None if the store could not be read.
    """

    keys: tuple[str, ...]
    existed: tuple[str, ...] | None


async def delete_derivatives(
    store: Store, recipe: Recipe, original: str
) -> tuple[PurgedKeys, list[BaseException | None]]:
    """Delete all derivatives of an original; return their keys, and the error of each deletion.

    All deletions are attempted and have ended when it returns.

    Raises:
        StoreError: the keys could not be listed, so nothing was deleted.
    """
    keys = await find_derivatives(store, recipe, original)
    existed = await find_existing(store, keys)
    outcomes = await asyncio.gather(*map(store.delete, keys), return_exceptions=True)
    return PurgedKeys(keys=keys, existed=existed), outcomes


async def find_existing(store: Store, keys: Sequence[str]) -> tuple[str, ...] | None:
    """Return those keys under which a blob exists; None if the store cannot be read."""
    try:
        blobs = await asyncio.gather(*map(store.head, keys))
    except StoreError:  # or credentials that may delete, but not read
        return None
    return tuple(key for key, blob in zip(keys, blobs, strict=True) if blob)


async def find_derivatives(store: Store, recipe: Recipe, original: str) -> tuple[str, ...]:
    """Return the keys of all derivatives of an original, including sizes that are no longer configured.

    Keys of today's sizes are returned whether or not they exist. `recipe.other_layouts` are searched too: a former
    shadow, and what a promotion kept. A key that only matches the naming pattern may belong to the site itself: it
    counts only if its metadata has a render profile. What a promotion kept counts without one. Where the credentials
    may not list, only today's sizes are returned.
    """
    keys = [*recipe.keys_of(original)]
    with suppress(StoreRefused):
        keys += [key async for key in _keys_we_made(store, recipe.layout, original) if key not in keys]
    for layout in recipe.other_layouts:
        keys += await _find_elsewhere(store, layout, original)
    return tuple(keys)


async def _find_elsewhere(store: Store, layout: Shadow, original: str) -> list[str]:
    try:
        layout.check_original(original)
    except BadKey:  # the original itself lies there, or derivatives' keys would be too long there
        return []
    # A promotion also keeps derivatives from another backend, which lack our metadata.
    found = _keys_that_match if layout.prefix == REPLACED else _keys_we_made
    try:
        return [key async for key in found(store, layout, original) if key != layout.prefix + original]
    except StoreRefused:
        return [layout.derivative(original, size) for size in layout.sizes_of(original)]


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
