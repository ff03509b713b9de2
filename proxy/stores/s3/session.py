"""The HTTP under the client of S3: it goes where it was sent, and no answer fills the memory."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import ClientResponse, ClientSession

MAX_ERROR_BYTES: Final = 1 << 20
MAX_ANSWER_BYTES: Final = 16 << 20
"""Answers that are read whole; a listing of a thousand of the longest keys, all escaped, has 6 MiB."""


class Session(AIOHTTPSession):  # type: ignore[misc] # it ships no types
    """aiobotocore's session, narrower.

    Following a redirect would send the body and the session token, signed for another host, to wherever it leads.
    botocore itself asks again where it knows better.
    """

    async def _get_session(self, proxy_url: str | None) -> _Narrow:
        return _Narrow(await super()._get_session(proxy_url))


_answers: ContextVar[list[ClientResponse]] = ContextVar("_answers")


@contextmanager
def closed_on_error() -> Iterator[None]:
    """Close every answer that was begun in the block if it fails; botocore loses the body of one it cannot read."""
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
    """An answer as it is, but that it can be read whole only if it is small; a stream has no such bound."""

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> object:
        return getattr(self._answer, name)

    async def read(self) -> bytes:
        """Read it whole.

        Raises:
            ClientPayloadError: it is too long.
        """
        most = MAX_ERROR_BYTES if self._answer.status >= HTTPStatus.MULTIPLE_CHOICES else MAX_ANSWER_BYTES
        body = bytearray()
        async for chunk in self._answer.content.iter_any():
            body += chunk
            if len(body) > most:
                self._answer.close()
                raise aiohttp.ClientPayloadError(f"The answer has over {most} bytes.")
        return bytes(body)
