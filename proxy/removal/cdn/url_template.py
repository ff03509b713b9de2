"""Purges by a URL of one's own, for caches without a client here."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from proxy.errors import CdnPurgeRefused
from proxy.removal.cdn.address import PATH, URL
from proxy.removal.cdn.api import CdnApi

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_COPY: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.PRECONDITION_FAILED})
"""What caches respond to PURGE for a URL of which they have no copy: nginx's module 404 or 412."""


class UrlPurger:
    """Purges URLs one by one at a template.

    With `{url}` in its query, the template is requested with GET, and the percent-encoded URL in that place. If it ends
    with `{path}`, it is requested with PURGE, and the URL's path and query in that place. Then the `Host` is that of
    the URL, by which caches such as Varnish find their copy.
    """

    def __init__(self, template: str, *, token: str, check_url: str) -> None:
        self._template = template
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._check_url = check_url
        self._api = CdnApi("The cache of CDN_PURGE")

    async def purge(self, urls: Sequence[str]) -> None:
        """Remove the cache's copies; see `CdnPurger.purge`."""
        for url in dict.fromkeys(urls):
            if URL in self._template:
                await self._send("GET", self._template.replace(URL, quote(url, safe="")), {})
            else:
                parts = urlsplit(url)
                path = f"{parts.path}?{parts.query}" if parts.query else parts.path
                await self._send("PURGE", self._template.replace(PATH, path), {"Host": parts.netloc})

    async def check(self) -> None:
        """Purge a URL of which no one needs a copy; see `CdnPurger.check`."""
        await self.purge([self._check_url])

    async def _send(self, method: str, url: str, headers: dict[str, str]) -> None:
        response = await self._api.send(method, url, headers={**self._headers, **headers})
        if response.is_success or (method == "PURGE" and response.status in _NO_COPY):
            return
        raise CdnPurgeRefused(
            f"The cache of CDN_PURGE responded to {method} with {response.status}: check the template, whether the "
            "cache permits this service to purge, and CDN_PURGE_TOKEN, which is sent as a Bearer token."
        )
