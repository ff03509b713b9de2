"""What every client that purges a CDN does; its errors are in `proxy.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class CdnPurger(Protocol):
    """Removes the copies that a CDN holds of public URLs."""

    async def purge(self, urls: Sequence[str]) -> None:
        """Remove the CDN's copies of absolute URLs, and return once the CDN reports that they are removed.

        Raises:
            CdnPurgeRefused: a permission is missing, or a setting is wrong; the message names it.
            CdnPurgeFailed: a retry may succeed, after `retry_after_seconds` if the CDN has asked for that.
        """

    async def check(self) -> None:
        """Purge a URL of which no one needs a copy, to show that `purge` is permitted.

        Raises:
            CdnPurgeRefused: a permission is missing, or a setting is wrong; the message names it.
            CdnPurgeFailed: the CDN does not respond, or fails.
        """
