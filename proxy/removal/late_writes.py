"""Late writes: derivatives that a render has stored while, or after, a takedown removed their picture."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from proxy.concurrency.backoff import Backoff
from proxy.errors import CdnPurgeFailed, CdnPurgeRefused, ImagesError
from proxy.removal.picture_copies import delete_copies, find_copies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.derivatives.recipe import Recipe
    from proxy.jobs.takedown.tombstones import Tombstones
    from proxy.removal.addresses import PublicUrls
    from proxy.removal.cdn.base import CdnPurger
    from proxy.stores.base import Store

log = structlog.get_logger(__name__)

PURGE_TRIES: Final = 4
"""How often a purge is tried, which nothing repeats later: the takedown may have ended."""

WAITS: Final = Backoff(first_seconds=1.0, longest_seconds=10.0)
"""The waits between them; a page view of a picture that is gone may take that long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateWrites:
    """The late writes to a store, whose blobs the public reads at `urls`, perhaps through a CDN."""

    store: Store
    recipe: Recipe
    tombstones: Tombstones
    urls: PublicUrls
    purger: CdnPurger | None
    waits: Backoff = WAITS

    async def remove(self, original: str) -> None:
        """Remove the derivatives of an original in all versions, and then the CDN's copies of its addresses.

        A request of an address meanwhile made the CDN copy what was there.

        Raises:
            PermissionMissing, StoreError: the store has something left. A purge that fails is only logged.
        """
        copies = await find_copies(self.store, self.recipe, original)
        copies.pop(original, None)
        await delete_copies(self.store, copies)
        if self.purger:
            keys = (*self.recipe.keys_of(original), *copies)
            await self._purge(self.purger, original, self.urls.of(original, self.recipe.names_of(original), keys))

    async def _purge(self, purger: CdnPurger, original: str, urls: Sequence[str]) -> None:
        """Purge URLs; a failure that lasts is logged."""
        for tries in range(1, PURGE_TRIES + 1):
            try:
                await purger.purge(urls)
            except (CdnPurgeRefused, CdnPurgeFailed) as fault:
                if tries == PURGE_TRIES or isinstance(fault, CdnPurgeRefused):
                    _log(original, fault)
                    return
            else:
                return
            await asyncio.sleep(self.waits.wait_seconds(tries))

    async def remove_if_taken_down(self, original: str) -> None:
        """Remove them if the original has a tombstone; log a failure, and raise nothing."""
        try:
            if await self.tombstones.is_known_taken_down(original):
                await self.remove(original)
        except ImagesError as fault:
            _log(original, fault)


def _log(original: str, fault: ImagesError) -> None:
    log.warning("derivatives_not_deleted", key=original, code=fault.code, detail=str(fault))
