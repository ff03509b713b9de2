"""A request for a blob at its public URL, as a browser would send it."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from anyio.to_thread import run_sync
from botocore.httpsession import get_cert_path

from proxy.errors import StoreRefused, StoreUnavailable
from proxy.stores.certificates import certificate_fault, trust_bundles
from proxy.stores.headers import PASSING_STATUSES

TIMEOUT_SECONDS: Final = 5.0
MAX_BYTES: Final = 4096
"""How much of the response is read: a probe is far shorter."""

_HIDDEN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


async def read_public(url: str) -> bytes:
    """Return the first bytes under a public URL, past the caches in front of it, as far as these allow it.

    Raises:
        StoreRefused: browsers cannot read it there; the message names PUBLIC_BASE_URL.
        StoreUnavailable: the server cannot be reached or fails.
    """
    parts = urlsplit(url)
    where = f"PUBLIC_BASE_URL: {parts.scheme}://{parts.netloc}"
    try:
        context = await run_sync(_context)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)) as client,
            client.get(url, ssl=context, headers={"Cache-Control": "no-cache"}) as answer,
        ):
            _check(answer.status, where)
            return await answer.content.read(MAX_BYTES)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # ValueError: a redirect to an invalid URL
        if untrusted := certificate_fault(error, host=parts.hostname or "", port=parts.port):
            raise untrusted from error
        raise StoreUnavailable(f"{where} cannot be reached ({type(error).__name__}).") from error


def _context() -> ssl.SSLContext:
    """Return a context that trusts the authorities that the bucket's client trusts by default, and `BUNDLES`."""
    return trust_bundles(ssl.create_default_context(cafile=get_cert_path(verify=True)))


def _check(status: int, where: str) -> None:
    if status == HTTPStatus.OK:
        return
    if status in _HIDDEN:
        raise StoreRefused(
            f"{where} responds with {status} for a blob that was just written: the bucket is not public there. Let "
            "everyone read it (a policy with s3:GetObject), correct PUBLIC_BASE_URL, or set DELIVERY=stream.",
            brief=f"not public: the public URL responds with {status}",
        )
    if status in PASSING_STATUSES:
        raise StoreUnavailable(f"{where} is temporarily unavailable ({status}).")
    raise StoreRefused(
        f"{where} responds with {status} for a blob that was just written: check PUBLIC_BASE_URL.",
        brief=f"the public URL responds with {status}",
    )
