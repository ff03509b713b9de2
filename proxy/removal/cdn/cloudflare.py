"""Purges of Cloudflare's cache by URL (developers.cloudflare.com/api, *Purge Cached Content by URL*)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from proxy.errors import CdnPurgeFailed, CdnPurgeRefused
from proxy.removal.cdn.api import CdnApi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.removal.cdn.api import CdnResponse

API_URL: Final = "https://api.cloudflare.com/client/v4"

MOST_URLS: Final = 30
"""How many URLs a request has: the smallest limit that Cloudflare has had for any plan."""


class CloudflareError(msgspec.Struct, frozen=True):
    """One of the errors in a response."""

    code: int = 0


class CloudflareResult(msgspec.Struct, frozen=True):
    """The envelope of every response."""

    success: bool = False
    errors: tuple[CloudflareError, ...] = ()


class CloudflarePurger:
    """Purges URLs of one zone with an API token."""

    def __init__(self, zone: str, *, token: str, check_url: str, api_url: str = API_URL) -> None:
        self._url = f"{api_url}/zones/{zone}/purge_cache"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._check_url = check_url
        self._api = CdnApi("Cloudflare")

    async def purge(self, urls: Sequence[str]) -> None:
        """Remove Cloudflare's copies; see `CdnPurger.purge`."""
        distinct = list(dict.fromkeys(urls))
        for start in range(0, len(distinct), MOST_URLS):
            body = msgspec.json.encode({"files": distinct[start : start + MOST_URLS]})
            _check(await self._api.send("POST", self._url, headers=self._headers, body=body))

    async def check(self) -> None:
        """Purge a URL of which no one needs a copy; see `CdnPurger.check`."""
        await self.purge([self._check_url])


def _check(response: CdnResponse) -> None:
    """Raise unless the response reports success."""
    try:
        result = msgspec.json.decode(response.body, type=CloudflareResult)
    except msgspec.MsgspecError as error:
        if response.is_success:  # of a proxy, perhaps
            raise CdnPurgeFailed("Cloudflare returned a response that is not its own.") from error
        result = CloudflareResult()
    if response.is_success and result.success:
        return
    codes = ", ".join(str(error.code) for error in result.errors)
    said = f"Cloudflare rejected the purge ({response.status}{f', error {codes}' if codes else ''})"
    if response.is_denied:
        raise CdnPurgeRefused(
            f"{said}: CDN_PURGE_TOKEN must be a valid API token with the permission Cache Purge (Zone.Cache Purge) for "
            "the zone of CDN_PURGE."
        )
    raise CdnPurgeRefused(
        f"{said}: check that the zone of CDN_PURGE exists and contains the host of PUBLIC_BASE_URL, and the form of "
        "CDN_PURGE_TOKEN."
    )
