"""How a callback reaches its receiver: one signed POST to an address that may be called."""

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

from proxy.errors import CallbackFailed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from proxy.webhooks.allowlist import AllowList, CallbackTarget
    from proxy.webhooks.signature import Signer

    Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

DEADLINE_SECONDS: Final = 10.0
"""The longest one delivery may take: the name resolved, connected, sent, answered."""

CONNECT_SECONDS: Final = 3.0
"""The longest that connecting to one of a name's addresses may take before the next is tried."""

RESOLVING_THREADS: Final = 8
"""Names resolved at once, more than callbacks go to one receiver: a name server that hangs holds them for longer than a
delivery may take. Threads of their own, for it must not hold those that read files either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookResponse:
    """What a receiver said; `retry_after_seconds` is None where it did not say when to come back."""

    status: int
    retry_after_seconds: float | None = None


class WebhookClient:
    """Carries callbacks, each on a connection of its own.

    A name is resolved once, all of its addresses are checked, and the connection goes to one of these: a name server
    that changes its mind meanwhile changes nothing. Redirects are not followed, proxies of the environment not used.
    The status is the whole answer; a body is not read, so it may be of any size.
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
        """Make the client and its threads."""
        self._threads = ThreadPoolExecutor(RESOLVING_THREADS, thread_name_prefix="resolve")
        self._client = httpx.AsyncClient(
            verify=self._tls or httpx.create_ssl_context(),  # which heeds SSL_CERT_FILE
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),  # the deadline is over all of it
            limits=httpx.Limits(
                max_keepalive_connections=0
            ),  # a connection is trusted for the one name it was made for
            trust_env=False,
            headers={
                "User-Agent": f"gallformers-images/{version('gallformers-images')}",
                "Accept-Encoding": "identity",
            },
        )

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(self, *, url: str, message_id: str, body: str) -> WebhookResponse:
        """Post a JSON body, signed now.

        Raises:
            BadCallback: the host is not listed (any longer).
            CallbackFailed: there was no answer, or no address that may be called.
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
            raise CallbackFailed(f"{target} has no address.")
        if private := [address for address in addresses if not self._allow_list.is_permitted(address)]:
            raise CallbackFailed(f"{target} is at {private[0]}, a private address that CALLBACK_HOSTS does not list.")
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
            return WebhookResponse(status=answer.status_code, retry_after_seconds=_retry_after(answer))

    async def _ask_name_server(self, host: str, port: int) -> Sequence[str]:
        ask = asyncio.get_running_loop().run_in_executor
        found = await ask(self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return list(dict.fromkeys(str(record[4][0]) for record in found))


@contextmanager
def _errors(target: CallbackTarget, deadline_seconds: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise CallbackFailed(f"{target} gave no answer within {deadline_seconds:g} s.") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CallbackFailed(f"{target} cannot be reached, or broke off ({type(error).__name__}).") from error
    except (OSError, UnicodeError) as error:
        raise CallbackFailed(f"The name of {target} does not resolve.") from error


def _retry_after(answer: httpx.Response) -> float | None:
    if answer.status_code not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return None
    told = answer.headers.get("Retry-After", "")
    if told.isdecimal():
        return float(told)
    try:
        return (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date; one without its zone; one beyond all zones
        return None
