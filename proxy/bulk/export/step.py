"""The step that writes the row of an original; with `render`, its derivatives are rendered first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.bulk.events import OriginalDone
from proxy.derivatives.picture.picture import picture_of
from proxy.derivatives.recipe import derivative_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.bulk.export.row_file import RowFile
    from proxy.bulk.reprocess.render import RenderStep
    from proxy.derivatives.service import DerivativeService
    from proxy.keys.addresses import PublicAddresses
    from proxy.stores.base import Store

NOT_RENDERED = "not rendered by this version"
"""The reason for sizes that the row would lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStep:
    """A step that describes a picture from the metadata of its derivatives, and writes its row to each file."""

    store: Store
    derivatives: DerivativeService
    addresses: PublicAddresses
    files: Sequence[RowFile]
    render: RenderStep | None
    """Renders what is missing or stale first; None if the row is of what is there."""

    async def run(self, key: str) -> OriginalDone:
        """Return the outcome of an original: `exported`, or `due` if sizes were not rendered by this version.

        Raises:
            ImagesError: the store fails, the key is not that of an original, or a file cannot be written.
            Stopped: the run stops before a render is retried.
        """
        if self.render:
            rendered = await self.render.run(key)
            if rendered.result == "failed":
                return rendered
        recipe = self.derivatives.recipe
        names = recipe.names_of(key)
        recipe.check(key, names)
        blobs = await asyncio.gather(*map(self.store.head, recipe.keys_of(key)))
        named = zip(names, blobs, strict=True)
        found = [derivative_of(size, blob) for size, blob in named if blob and self.derivatives.accepts(blob)]
        picture = picture_of(key, found, recipe.sizes_of(key), addresses=self.addresses)
        described = {size.size for size in picture.sizes} if picture.width else set[str]()
        if lacking := [size for size in names if size not in described]:
            return OriginalDone(key=key, result="due", reasons=dict.fromkeys(lacking, NOT_RENDERED))
        for file in self.files:
            file.write(picture)
        return OriginalDone(key=key, result="exported")
