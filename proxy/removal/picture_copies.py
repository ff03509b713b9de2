"""What a store has of one picture: the original and everything that is named after it, in all versions."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from proxy.errors import BadKey, NotFound, PermissionMissing, StoreRefused
from proxy.keys.shadow import Shadow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from proxy.derivatives.recipe import Recipe
    from proxy.keys.layouts import Layout
    from proxy.stores.base import BlobVersion, Store

NO_SUCH_NAME: Final = "gallformers-images-takedown-check"
NO_SUCH_VERSION: Final = "0" * 32
"""The name, in the folder of an original, and the version of a blob that does not exist: its deletion shows whether
versions may be deleted there."""

AT_ONCE: Final = 8
"""How many blobs are deleted at once."""

_ALTERNATE: Final = r"(\.[a-z0-9]+)?"
"""What an alternate format adds to the name of a derivative, such as `.avif`."""

Versions = dict[str, list["BlobVersion"]]
"""Key -> the versions under it."""


async def find_copies(store: Store, recipe: Recipe, original: str) -> Versions:
    """Return all versions of the original and of whatever has the name of a derivative of it, in all layouts.

    Unlike a purge, it does not matter who made a file: a site's own files of these names show the picture too.

    Raises:
        PermissionMissing, StoreError: the store cannot be listed.
    """
    found: Versions = defaultdict(list)
    async for version in store.versions(original):
        if version.key == original:
            found[original].append(version)
    for layout in _layouts(recipe):
        with suppress(BadKey):  # derivatives of this original would have no valid keys there
            prefix, pattern = layout.derivative_pattern(original)
            names = re.compile(pattern.pattern + _ALTERNATE)
            apart = {original, f"{layout.prefix}{original}"} if isinstance(layout, Shadow) else {original}
            async for version in store.versions(prefix):
                if version.key not in apart and names.fullmatch(version.key):
                    found[version.key].append(version)
    return dict(found)


async def check_deletable(store: Store, original: str, copies: Mapping[str, Sequence[BlobVersion]]) -> None:
    """Raise unless these copies may be deleted, as far as that can be found out without deleting anything.

    Raises:
        PermissionMissing: the credentials may not delete versions, and there are some.
        StoreUnavailable: the store does not respond.
    """
    if all(one.is_plain for versions in copies.values() for one in versions):
        return
    try:
        folder, slash, _ = original.rpartition("/")
        await store.delete_version(f"{folder}{slash}{NO_SUCH_NAME}", NO_SUCH_VERSION)
    except PermissionMissing:
        raise
    except (StoreRefused, NotFound):  # it has no such version, as it should
        pass


async def delete_copies(store: Store, copies: Mapping[str, Sequence[BlobVersion]]) -> None:
    """Delete these copies. All deletions are attempted; then the first error is raised, if there is one.

    A blob without a version is deleted by its key: in a bucket that keeps versions by now, that leaves a marker, which
    the next look finds.

    Raises:
        PermissionMissing, StoreError: not everything was deleted.
    """
    limit = asyncio.Semaphore(AT_ONCE)

    async def delete(key: str, versions: Sequence[BlobVersion]) -> None:
        async with limit:
            if all(one.is_plain for one in versions):
                await store.delete(key)
            else:
                for one in versions:
                    await store.delete_version(key, one.version)

    outcomes = await asyncio.gather(*(delete(*one) for one in copies.items()), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


def _layouts(recipe: Recipe) -> Iterator[Layout]:
    yield recipe.layout
    if isinstance(recipe.layout, Shadow):
        yield recipe.layout.live
    yield from recipe.other_layouts
