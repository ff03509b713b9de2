"""Looks a picture up in the metadata of its derivatives; what is missing is rendered first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.errors import Refused
from proxy.concurrency.singleflight import SingleFlight
from proxy.concurrency.timings import Timings
from proxy.derivatives.picture.picture import picture_of
from proxy.derivatives.provenance import is_picture
from proxy.derivatives.recipe import derivative_of
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import ImagesError, RenderFailed, StoreUnavailable, TooManyBytes

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

    async def describe(self, original: str, timings: Timings | None = None) -> PictureDescription:
        """Return what is known of a picture; if a derivative is missing, all that are missing are rendered first.

        A size with `strip_only` that cannot be rendered is left out. Durations are added to `timings`, on failure too;
        a call that shares the lookups of another one has only waited.

        Raises:
            BadKey, NotFound, TooManyBytes, Busy, RenderFailed, StoreError: see `proxy.errors`.
            Refused: the original cannot be rendered, see `pipeline.errors`.
        """
        self._derivatives.recipe.check(original, [])
        own, waited = Timings(), Timings()
        try:
            with waited.measure_wait():
                return await self._lookups.run(original, lambda: self._describe(original, own))
        finally:
            if timings:
                timings.add(own if own.total_seconds else waited)

    async def others(self, original: str, known: Collection[str]) -> tuple[Derivative, ...]:
        """Return the derivatives that exist beside those of the sizes `known`; none if the store fails."""
        names = [name for name in self._derivatives.recipe.names_of(original) if name not in known]
        try:
            blobs = await self._look_up(original, names)
        except ImagesError:
            return ()
        return tuple(
            derivative_of(size, blob) for size, blob in blobs.items() if blob and self._derivatives.accepts(blob)
        )

    async def close(self) -> None:
        """Cancel all lookups."""
        await self._lookups.close()

    async def _describe(self, original: str, timings: Timings) -> PictureDescription:
        recipe = self._derivatives.recipe
        names = recipe.names_of(original)
        with timings.measure_store():
            blobs = await self._look_up(original, names)
        lacking = {size: blob for size, blob in blobs.items() if blob is None or not self._derivatives.accepts(blob)}
        failed: set[str] = set()
        if lacking:
            failed = await self._render(original, lacking, timings)
            with timings.measure_store():
                blobs = await self._look_up(original, names)
        found = [derivative_of(size, blob) for size, blob in blobs.items() if blob and is_picture(blob)]
        if not {*names} - failed <= {one.size for one in found}:
            raise StoreUnavailable("A derivative was deleted right after it was found; try again.")
        return picture_of(original, found, recipe.sizes_of(original), addresses=self._addresses)

    async def _look_up(self, original: str, sizes: Sequence[str]) -> dict[str, Blob | None]:
        """Return the blobs under the keys of derivatives, by size."""
        keys = [self._derivatives.recipe.key(original, size) for size in sizes]
        blobs = await asyncio.gather(*(self._timeouts.lookup(self._store.head(key)) for key in keys))
        return dict(zip(sizes, blobs, strict=True))

    async def _render(self, original: str, lacking: Mapping[str, Blob | None], timings: Timings) -> set[str]:
        """Locate each size as a page view does; they share one run, and all of it is awaited.

        What is no picture was rejected just now, so it is located as missing, whatever the cache has. Returns the sizes
        with `strip_only` that cannot be rendered beside others that can; any other failure is raised.
        """
        recipe = self._derivatives.recipe
        spent = {size: Timings() for size in lacking}
        calls = [
            self._derivatives.locate(original, size, spent[size])
            if blob and is_picture(blob)
            else self._derivatives.locate_missing(original, size, spent[size])
            for size, blob in lacking.items()
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        timings.add(max(spent.values(), key=lambda one: one.total_seconds))  # they run side by side
        faults = {
            size: fault for size, fault in zip(lacking, outcomes, strict=True) if isinstance(fault, BaseException)
        }
        for size, fault in faults.items():
            is_alone = recipe.size(size).strip_only and len(faults) < len(recipe.names_of(original))
            if not (is_alone and isinstance(fault, Refused | TooManyBytes | RenderFailed)):
                raise fault
        return {*faults}
