"""Metrics of purges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import CdnPurgeFailed, CdnPurgeRefused
from proxy.metrics import cdn_purges_total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.removal.cdn.base import CdnPurger


class CountedPurger:
    """A purger that counts its calls of `purge` by outcome."""

    def __init__(self, purger: CdnPurger) -> None:
        self._purger = purger

    async def purge(self, urls: Sequence[str]) -> None:
        """Remove the CDN's copies; see `CdnPurger.purge`."""
        try:
            await self._purger.purge(urls)
        except CdnPurgeRefused:
            cdn_purges_total.labels("refused").inc()
            raise
        except CdnPurgeFailed:
            cdn_purges_total.labels("failed").inc()
            raise
        cdn_purges_total.labels("done").inc()

    async def check(self) -> None:
        """Show that `purge` is permitted; see `CdnPurger.check`."""
        await self._purger.check()
