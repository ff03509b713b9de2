"""A page of originals, in the order of the store's listing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.errors import UnreadableFolders
from proxy.keys.layouts import is_original

if TYPE_CHECKING:
    from proxy.ui.parts import Parts

MOST_LISTED: Final = 5000
"""How many keys a page reads at most; after that it ends, and its last key begins the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePage:
    """The keys of originals; `after` begins the next page, and is empty on the last one."""

    keys: tuple[str, ...]
    after: str
    unreadable: tuple[str, ...] = ()
    """Folders that could not be read."""


async def list_pictures(parts: Parts, prefix: str, *, after: str, limit: int) -> PicturePage:
    """Return up to `limit` originals below a prefix whose keys follow `after`.

    Raises:
        StoreError: the store cannot be listed.
    """
    layout, keys, last, listed = parts.derivatives.recipe.layout, list[str](), "", 0
    try:
        async for blob in parts.store.list(prefix, after=after):
            if len(keys) == limit or listed == MOST_LISTED:
                return PicturePage(keys=tuple(keys), after=last)
            listed, last = listed + 1, blob.key
            if is_original(layout, blob.key):
                keys.append(blob.key)
    except UnreadableFolders as fault:  # everything else was listed
        return PicturePage(keys=tuple(keys), after="", unreadable=tuple(fault.folders))
    return PicturePage(keys=tuple(keys), after="")
