"""Requests to the API of a CDN: bounded, and none before the time for which a throttled response asked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import httpx
from anyio.to_thread import run_sync

from proxy.errors import CdnPurgeFailed, CdnPurgeRefused, StoreRefused
from proxy.stores.certificates import certificate_fault, client_context
from proxy.stores.headers import PASSING_STATUSES
from proxy.webhooks.client import retry_after_seconds

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

DEADLINE_SECONDS: Final = 30.0
"""The timeout of a request: connection, request and response."""

CONNECT_SECONDS: Final = 5.0

MAX_BYTES: Final = 1 << 20
"""How much of a response is read. The longest ones are CloudFront's, which repeat the paths of the request."""

LONGEST_WAIT_SECONDS: Final = 3600.0
"""The longest wait for which a CDN may ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CdnResponse:
    """A response that is not about a passing failure: its status and the first `MAX_BYTES` of its body."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Return whether the status is 2xx."""
        return httpx.codes.is_success(self.status)

    @property
    def is_denied(self) -> bool:
        """Return whether the API rejects the token or its permissions."""
        return self.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


class CdnApi:
    """Sends requests to one API; `name` names it in messages.

    `read_wait` returns for how many seconds a throttled response asks, or None.
    """

    def __init__(
        self,
        name: str,
        *,
        read_wait: Callable[[httpx.Response], float | None] = retry_after_seconds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._read_wait = read_wait
        self._clock = clock
        self._closed_until = 0.0
        self._context: ssl.SSLContext | None = None

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> CdnResponse:
        """Send a request and return its response; redirects are not followed.

        Raises:
            CdnPurgeFailed: the API cannot be reached, fails, or has asked for a wait that is not over.
            CdnPurgeRefused: its certificate is not trusted.
        """
        if (wait := self._closed_until - self._clock()) > 0:
            raise CdnPurgeFailed(f"{self._name} has asked to wait for another {wait:.0f} s.", retry_after_seconds=wait)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await self._send(method, url, dict(headers or {}), body)
        except StoreRefused as fault:  # a file of authorities cannot be used
            raise CdnPurgeRefused(str(fault)) from fault
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            if untrusted := certificate_fault(error):
                raise CdnPurgeRefused(str(untrusted)) from error
            raise CdnPurgeFailed(f"{self._name} cannot be reached ({type(error).__name__}).") from error

    async def _send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> CdnResponse:
        if self._context is None:
            self._context = await run_sync(client_context)
        client = httpx.AsyncClient(
            verify=self._context,
            timeout=httpx.Timeout(DEADLINE_SECONDS, connect=CONNECT_SECONDS),
            headers={
                "User-Agent": f"gallformers-images/{version('gallformers-images')}",
                "Accept-Encoding": "identity",
            },
        )
        async with client, client.stream(method, url, headers=headers, content=body) as answer:
            if answer.status_code in PASSING_STATUSES:
                raise self._failed(answer)
            read = bytearray()
            async for chunk in answer.aiter_raw():
                read += chunk
                if len(read) >= MAX_BYTES:
                    break
            return CdnResponse(status=answer.status_code, body=bytes(read[:MAX_BYTES]))

    def _failed(self, answer: httpx.Response) -> CdnPurgeFailed:
        wait = self._read_wait(answer)
        if wait is not None:
            wait = min(max(wait, 0.0), LONGEST_WAIT_SECONDS)
            self._closed_until = self._clock() + wait
        return CdnPurgeFailed(
            f"{self._name} is temporarily unavailable ({answer.status_code}).", retry_after_seconds=wait
        )
