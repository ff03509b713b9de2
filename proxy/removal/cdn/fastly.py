"""Purges of Fastly's cache by URL (fastly.com/documentation/reference/api/purging)."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from proxy.errors import CdnPurgeRefused
from proxy.removal.cdn.api import CdnApi
from proxy.webhooks.client import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

API_URL: Final = "https://api.fastly.com"

NO_KEY: Final = "gallformers-images-check"
"""The surrogate key that `check` purges: no response has it."""


class FastlyPurger:
    """Purges URLs with an API token, whose permission `check` shows for one service.

    Fastly finds the service of a URL by its host.
    """

    def __init__(
        self, service: str, *, token: str, api_url: str = API_URL, clock: Callable[[], float] = time.time
    ) -> None:
        self._service = service
        self._headers = {"Fastly-Key": token, "Accept": "application/json"}
        self._api = CdnApi("Fastly", read_wait=self._read_wait)
        self._api_url = api_url
        self._clock = clock

    async def purge(self, urls: Sequence[str]) -> None:
        """Remove Fastly's copies; see `CdnPurger.purge`."""
        for url in dict.fromkeys(urls):
            await self._post(f"purge/{url.partition('://')[2]}")

    async def check(self) -> None:
        """Purge a surrogate key that no response has; see `CdnPurger.check`."""
        await self._post(f"service/{self._service}/purge/{NO_KEY}")

    async def _post(self, path: str) -> None:
        response = await self._api.send("POST", f"{self._api_url}/{path}", headers=self._headers)
        if response.is_success:
            return
        said = f"Fastly rejected the purge ({response.status})"
        if response.is_denied:
            raise CdnPurgeRefused(
                f"{said}: CDN_PURGE_TOKEN must be a valid API token with the scope purge_select for the service of "
                "CDN_PURGE."
            )
        raise CdnPurgeRefused(
            f"{said}: check that the service of CDN_PURGE exists and serves the host of PUBLIC_BASE_URL."
        )

    def _read_wait(self, answer: httpx.Response) -> float | None:
        reset = answer.headers.get("Fastly-RateLimit-Reset", "")
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS and reset.isdecimal():
            return float(reset) - self._clock()  # seconds since 1970
        return retry_after_seconds(answer)
