"""Purges of the URLs that the CDN serves, with their metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from proxy.errors import CdnPurgeFailed, CdnPurgeRefused
from proxy.metrics import cdn_purges_total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.removal.cdn.base import CdnPurger


class PublicHostPurger:
    """A purger that leaves out URLs on other hosts than that of `public_url`, and counts its purges by outcome.

    A provider rejects a whole request that has a URL of a host that it does not serve.
    """

    def __init__(self, purger: CdnPurger, *, public_url: str) -> None:
        self._purger = purger
        self._host = urlsplit(public_url).netloc

    async def purge(self, urls: Sequence[str]) -> None:
        """Remove the CDN's copies; see `CdnPurger.purge`."""
        served = [url for url in urls if urlsplit(url).netloc == self._host]
        if not served:
            return
        try:
            await self._purger.purge(served)
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
