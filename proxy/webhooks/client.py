"""The webhook client: sends a callback as one signed POST, to permitted addresses only."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, TypeAlias

import httpx

from proxy.errors import CallbackFailed, CallbackForbidden

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from proxy.webhooks.allowlist import AllowList, CallbackTarget
    from proxy.webhooks.signature import Signer

    Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

DEADLINE_SECONDS: Final = 10.0
"""The timeout of a delivery: name resolution, connection, request and response."""

CONNECT_SECONDS: Final = 3.0
"""The timeout to connect to one address of a name, after which the next address is tried."""

RESOLVING_THREADS: Final = 8
"""The number of threads that resolve names; greater than the number of concurrent callbacks to one receiver.

A hung name server blocks a thread for longer than the timeout of a delivery. Files are read by other threads, which it
therefore cannot block.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookResponse:
    """A receiver's response; `retry_after_seconds` is None without a usable `Retry-After`."""

    status: int
    retry_after_seconds: float | None = None


class WebhookClient:
    """A client that sends callbacks, each on a connection of its own.

    A name is resolved once, all of its addresses are checked, and the connection is opened to one of them. A name
    server that changes its answer in the meantime has no effect. Redirects are not followed, and proxies of the
    environment are not used. Only the status of the response counts. Its body is not read, so it may be of any size.
    """

    def __init__(
        self,
        allow_list: AllowList,
        signer: Signer,
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._allow_list = allow_list
        self._signer = signer
        self._resolve = resolve or self._ask_name_server
        self._tls = tls
        self._deadline_seconds = deadline_seconds

    async def start(self) -> None:
        """Create the HTTP client and the threads that resolve names."""
        self._threads = ThreadPoolExecutor(RESOLVING_THREADS, thread_name_prefix="resolve")
        self._client = httpx.AsyncClient(
            verify=self._tls or httpx.create_ssl_context(),  # respects SSL_CERT_FILE
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),  # `post` enforces the deadline
            limits=httpx.Limits(max_keepalive_connections=0),  # a connection is trusted for one name only
            trust_env=False,
            headers={
                "User-Agent": f"gallformers-images/{version('gallformers-images')}",
                "Accept-Encoding": "identity",
            },
        )

    async def close(self) -> None:
        """Close the HTTP client, and shut down the threads."""
        await self._client.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(self, *, url: str, message_id: str, body: str) -> WebhookResponse:
        """Post a JSON body, signed with the current time, and return the response.

        Raises:
            BadCallback: the host is not listed (any longer).
            CallbackFailed: the receiver did not answer, has no address, or has one that is not permitted.
        """
        target = self._allow_list.target(url)
        headers = {
            "Content-Type": "application/json",
            "Host": target.authority,
            **self._signer.headers(body, message_id=message_id, at=datetime.now(UTC)),
        }
        with _errors(target, self._deadline_seconds):
            async with asyncio.timeout(self._deadline_seconds):
                addresses = await self._addresses(target)
                return await self._post(target, addresses, body.encode(), headers)

    async def _addresses(self, target: CallbackTarget) -> Sequence[str]:
        addresses = await self._resolve(target.host, target.port)
        if not addresses:
            raise CallbackFailed(f"The name of {target} resolves to no address.")
        if private := [address for address in addresses if not self._allow_list.is_permitted(address)]:
            raise CallbackForbidden(
                f"{target} resolves to {private[0]}, a private address that CALLBACK_HOSTS does not list."
            )
        return addresses

    async def _post(
        self, target: CallbackTarget, addresses: Sequence[str], body: bytes, headers: dict[str, str]
    ) -> WebhookResponse:
        *others, last = addresses
        for address in others:
            try:
                return await self._post_to(address, target, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(last, target, body, headers)

    async def _post_to(
        self, address: str, target: CallbackTarget, body: bytes, headers: dict[str, str]
    ) -> WebhookResponse:
        url = httpx.URL(scheme=target.scheme, host=address, port=target.port, raw_path=target.path.encode())
        certified = {"sni_hostname": target.host}
        async with self._client.stream("POST", url, content=body, headers=headers, extensions=certified) as answer:
            return WebhookResponse(status=answer.status_code, retry_after_seconds=retry_after_seconds(answer))

    async def _ask_name_server(self, host: str, port: int) -> Sequence[str]:
        ask = asyncio.get_running_loop().run_in_executor
        found = await ask(self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return list(dict.fromkeys(str(record[4][0]) for record in found))


@contextmanager
def _errors(target: CallbackTarget, deadline_seconds: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise CallbackFailed(f"{target} did not respond within {deadline_seconds:g} s.") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CallbackFailed(f"{target} is unreachable, or the connection failed ({type(error).__name__}).") from error
    except (OSError, UnicodeError) as error:
        raise CallbackFailed(f"The name of {target} cannot be resolved.") from error


def retry_after_seconds(answer: httpx.Response) -> float | None:
    """Return the wait for which the `Retry-After` of a 429 or 503 asks, or None."""
    if answer.status_code not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return None
    told = answer.headers.get("Retry-After", "")
    if told.isdecimal():
        return float(told)
    try:
        return (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # not a date, no time zone, or one out of range
        return None
