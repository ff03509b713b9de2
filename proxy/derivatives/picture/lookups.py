"""Looks a picture up in the metadata of its derivatives; what is missing is rendered first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.concurrency.singleflight import SingleFlight
from proxy.derivatives.picture.picture import picture_of
from proxy.derivatives.recipe import derivative_of
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import ImagesError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from proxy.derivatives.picture.picture import PictureDescription
    from proxy.derivatives.recipe import Derivative
    from proxy.derivatives.service import DerivativeService
    from proxy.keys.addresses import PublicAddresses
    from proxy.stores.base import Blob, Store


class Pictures:
    """Describes pictures for pages. A picture costs one lookup for each size; concurrent calls for it share them."""

    def __init__(
        self,
        *,
        store: Store,
        derivatives: DerivativeService,
        addresses: PublicAddresses,
        timeouts: PageTimeouts | None = None,
    ) -> None:
        self._store = store
        self._derivatives = derivatives
        self._addresses = addresses
        self._timeouts = timeouts or PageTimeouts()
        self._lookups: SingleFlight[PictureDescription] = SingleFlight()

    async def describe(self, original: str) -> PictureDescription:
        """Return what is known of a picture; if a derivative is missing, all that are missing are rendered first.

        Raises:
            BadKey, NotFound, TooManyBytes, Busy, RenderFailed, StoreError: see `proxy.errors`.
            Refused: the original cannot be rendered, see `pipeline.errors`.
        """
        self._derivatives.recipe.check(original, [])
        return await self._lookups.run(original, lambda: self._describe(original))

    async def others(self, original: str, known: Collection[str]) -> tuple[Derivative, ...]:
        """Return the derivatives that exist beside those of the sizes `known`; none if the store fails."""
        names = [name for name in self._derivatives.recipe.names if name not in known]
        try:
            blobs = await self._look_up(original, names)
        except ImagesError:
            return ()
        return tuple(derivative_of(size, blob) for size, blob in blobs.items() if blob)

    async def close(self) -> None:
        """Cancel all lookups."""
        await self._lookups.close()

    async def _describe(self, original: str) -> PictureDescription:
        names = self._derivatives.recipe.names
        blobs = await self._look_up(original, names)
        lacking = {size: blob for size, blob in blobs.items() if blob is None or not self._derivatives.accepts(blob)}
        if lacking:
            await self._render(original, lacking)
            blobs = await self._look_up(original, names)
        found = [derivative_of(size, blob) for size, blob in blobs.items() if blob]
        if len(found) < len(blobs):
            raise StoreUnavailable("A derivative was deleted right after it was found; try again.")
        return picture_of(original, found, self._derivatives.recipe.sizes, addresses=self._addresses)

    async def _look_up(self, original: str, sizes: Sequence[str]) -> dict[str, Blob | None]:
        """Return the blobs under the keys of derivatives, by size."""
        keys = [self._derivatives.recipe.key(original, size) for size in sizes]
        blobs = await asyncio.gather(*(self._timeouts.lookup(self._store.head(key)) for key in keys))
        return dict(zip(sizes, blobs, strict=True))

    async def _render(self, original: str, lacking: Mapping[str, Blob | None]) -> None:
        """Locate each size as a page view does; they share one run, and all of it is awaited."""
        calls = [
            self._derivatives.locate(original, size) if blob else self._derivatives.locate_missing(original, size)
            for size, blob in lacking.items()
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
