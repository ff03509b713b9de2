"""The public addresses of a picture, and whether they still serve it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from anyio.to_thread import run_sync

from proxy.keys.layouts import ORIGINAL
from proxy.keys.syntax import url
from proxy.stores.certificates import client_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.jobs.takedown.receipt import PublicAddress

GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.GONE})
"""The answers of an address that does not serve the picture; a bucket without the right to list answers 403."""

ANSWER_SECONDS: Final = 10.0
AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicUrls:
    """The base URLs of public addresses. Those that are empty, or only a path, have no addresses.

    `files` is that of the store for browsers, `originals` that of the originals, and `service` that of this service.
    """

    files: str = ""
    originals: str = ""
    service: str = ""

    def of(self, original: str, sizes: Sequence[str], keys: Iterable[str]) -> tuple[str, ...]:
        """Return the addresses of an original, its sizes and these keys."""
        views = [url(f"{self.service}/img", f"{original}/{size}") for size in (ORIGINAL, *sizes)]
        described = [url(f"{self.service}/v1/images", original)]
        found = [
            *(url(self.files, key) for key in (original, *keys)),
            *([url(self.originals, original)] if self.originals else []),
            *([*views, *described] if self.service else []),
        ]
        return tuple(dict.fromkeys(one for one in found if one.startswith(("http://", "https://"))))


async def statuses(urls: Sequence[str]) -> tuple[int, ...]:
    """Return the status that each URL answers with, at the end of its redirects; 0 if there is no answer."""
    if not urls:
        return ()
    import httpx  # noqa: PLC0415 - it costs memory that a service without takedowns saves

    limit = asyncio.Semaphore(AT_ONCE)
    context = await run_sync(client_context)

    async def ask(client: httpx.AsyncClient, address: str) -> int:
        async with limit:
            try:
                async with client.stream("GET", address) as answer:
                    return answer.status_code
            except (httpx.HTTPError, httpx.InvalidURL):
                return 0

    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, verify=context, follow_redirects=True) as client:
        return tuple(await asyncio.gather(*(ask(client, one) for one in urls)))


def is_served(address: PublicAddress) -> bool:
    """Return whether an address may still serve the picture."""
    return address.status not in GONE
