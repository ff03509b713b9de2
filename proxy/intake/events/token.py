"""The token that senders of events present: object stores sign nothing."""

from __future__ import annotations

import base64
import binascii
from hmac import compare_digest
from typing import TYPE_CHECKING

from proxy.errors import BadToken

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_token(expected: str, *, authorization: str | None, in_query: str | None) -> None:
    """Raise unless a request presents the token, in one of three ways; each is compared in constant time.

    Args:
        expected: the token.
        authorization: the header `Authorization`: the token as `Bearer`, or as the password of `Basic`.
        in_query: the parameter `token` of the query.

    Raises:
        BadToken: it presents none, or another.
    """
    presented = [*_of_header(authorization or ""), (in_query or "").encode()]
    matches = [compare_digest(one, expected.encode()) for one in presented]
    if not any(matches):
        raise BadToken(
            "The request does not have the token of EVENTS_TOKEN; send it as Authorization: Bearer <token>, as the "
            "password of Basic, or as ?token=<token>."
        )


def _of_header(authorization: str) -> Iterator[bytes]:
    scheme, _, credentials = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        yield credentials.strip().encode()
    if scheme.lower() == "basic":
        try:
            yield base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):  # not base64, or not even ASCII
            return
