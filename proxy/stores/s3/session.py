"""The HTTP session of the S3 client: no redirects, and limits on what is read into memory."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession

from proxy.stores.certificates import trust_bundles

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from aiohttp import ClientResponse, ClientSession

MAX_ERROR_BYTES: Final = 1 << 20
MAX_ANSWER_BYTES: Final = 16 << 20
"""The limit for responses that are read whole; a listing of a thousand of the longest keys, all escaped, has 6 MiB."""


class Session(AIOHTTPSession):  # type: ignore[misc] # it ships no types
    """aiobotocore's session, without redirects and with a size limit for responses that are read whole.

    It trusts the authorities of `certificates.BUNDLES`.

    Following a redirect would send the body and the session token, signed for another host, to the redirect's target.
    botocore itself repeats a request where it knows the right host.
    """

    async def _get_session(self, proxy_url: str | None) -> _Narrow:
        return _Narrow(await super()._get_session(proxy_url))

    def _get_ssl_context(self) -> ssl.SSLContext:
        return trust_bundles(super()._get_ssl_context())


_answers: ContextVar[list[ClientResponse]] = ContextVar("_answers")


@contextmanager
def closed_on_error() -> Iterator[None]:
    """Close every response started in the block if the block fails.

    botocore does not close a response that it cannot parse.
    """
    answers: list[ClientResponse] = []
    token = _answers.set(answers)
    try:
        yield
    except BaseException:
        for answer in answers:
            answer.close()
        raise
    finally:
        _answers.reset(token)


class _Narrow:
    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **options: object) -> _Bounded:
        answer = await self._session.request(method, allow_redirects=False, **options)  # type: ignore[arg-type] # its own
        _answers.get([]).append(answer)
        return _Bounded(answer)


class _Bounded:
    """A response that can be read whole only up to a size limit; streaming has no limit."""

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> object:
        return getattr(self._answer, name)

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers without those that are not UTF-8, for which aiobotocore would raise an error."""
        return tuple(header for header in self._answer.raw_headers if _is_text(b"".join(header)))

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            ClientPayloadError: the body is longer than the limit.
        """
        most = MAX_ERROR_BYTES if self._answer.status >= HTTPStatus.MULTIPLE_CHOICES else MAX_ANSWER_BYTES
        body = bytearray()
        async for chunk in self._answer.content.iter_any():
            body += chunk
            if len(body) > most:
                self._answer.close()
                raise aiohttp.ClientPayloadError(f"The response is larger than {most} bytes.")
        return bytes(body)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
