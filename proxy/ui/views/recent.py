"""The pictures that were rendered last, as tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.errors import ImagesError
from proxy.jobs.listing import JobFilter, ListJobs
from proxy.ui.views.picture_view import read_tiles

if TYPE_CHECKING:
    from proxy.ui.parts import Parts
    from proxy.ui.views.picture_view import Tile

RECENT: Final = 6


async def recent_tiles(parts: Parts) -> list[Tile]:
    """Return the tiles of the originals whose jobs were done last, without those that are gone.

    There are none while the queue or the store cannot be read.
    """
    try:
        page = await parts.jobs.page(ListJobs(selection=JobFilter(status="done"), limit=2 * RECENT))
        tiles = await read_tiles(parts, list(dict.fromkeys(job.key for job in page.jobs if job.derivatives)))
    except ImagesError:
        return []
    return [tile for tile in tiles if tile.thumbnail][:RECENT]
