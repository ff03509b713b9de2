"""What a connection refuses before any route sees the request, and the response that it then sends."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httptools
import msgspec

from proxy.http.protocol.date import date

KIBIBYTE: Final = 1024

MAX_HEAD_BYTES: Final = 32 * KIBIBYTE
"""Of all header lines together, trailers included."""

MAX_ADDRESS_BYTES: Final = 8 * KIBIBYTE
"""Of the request target. A key has at most 1,024 bytes, 3,072 when every byte is percent-encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """How a request is answered without the application; `reason` is its label in the series."""

    status: HTTPStatus
    reason: str
    title: str
    detail: str


class Rejected(Exception):
    """Raised through the parser."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.detail)
        self.rejection = rejection


HEAD_TOO_LARGE: Final = Rejection(
    status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    reason="head-too-large",
    title="Request head too large",
    detail=f"The header lines have more than {MAX_HEAD_BYTES // KIBIBYTE} KiB together; send fewer or shorter ones.",
)
ADDRESS_TOO_LONG: Final = Rejection(
    status=HTTPStatus.REQUEST_URI_TOO_LONG,
    reason="address-too-long",
    title="Address too long",
    detail=f"The request target has more than {MAX_ADDRESS_BYTES // KIBIBYTE} KiB; no key is that long.",
)
BAD_ADDRESS: Final = Rejection(
    status=HTTPStatus.BAD_REQUEST,
    reason="bad-address",
    title="Malformed address",
    detail="The request target holds bytes that a URL may not hold; percent-encode them (é is %C3%A9).",
)
BAD_METHOD: Final = Rejection(
    status=HTTPStatus.NOT_IMPLEMENTED,
    reason="unknown-method",
    title="Unknown method",
    detail="The request method is not one of HTTP's; use GET, HEAD, POST, PUT or DELETE.",
)
BAD_REQUEST: Final = Rejection(
    status=HTTPStatus.BAD_REQUEST,
    reason="malformed-request",
    title="Malformed request",
    detail="The request is not valid HTTP/1.1 (RFC 9112); check its header lines, Content-Length and line endings.",
)
SEVERAL_HOSTS: Final = Rejection(
    status=HTTPStatus.BAD_REQUEST,
    reason="several-hosts",
    title="More than one Host",
    detail="The request has more than one Host line; send exactly one.",
)
BAD_TRANSFER_ENCODING: Final = Rejection(
    status=HTTPStatus.BAD_REQUEST,
    reason="transfer-encoding",
    title="Unknown transfer encoding",
    detail="Transfer-Encoding must be exactly `chunked`; send the body so, or with a Content-Length.",
)

STOPPING: Final = Rejection(
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    reason="busy",
    title="Service busy",
    detail="The service stops and has given this request up, which may have taken effect; send it again.",
)
"""How a request is answered that the end of the grace period cuts off; the reason is that of other full services."""


def rejection_for(error: httptools.HttpParserError) -> Rejection:
    """Return why the parser stopped."""
    if isinstance(error.__context__, Rejected):
        return error.__context__.rejection
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return BAD_METHOD
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return BAD_ADDRESS
    if "Transfer-Encoding" in str(error):
        return BAD_TRANSFER_ENCODING
    return BAD_REQUEST


def document(rejection: Rejection, request_id: bytes) -> bytes:
    """Return a problem document (RFC 9457)."""
    return msgspec.json.encode(
        {
            "type": f"/problems/{rejection.reason}",
            "title": rejection.title,
            "status": int(rejection.status),
            "detail": rejection.detail,
            "request_id": request_id.decode(),
        }
    )


def problem(rejection: Rejection, request_id: bytes) -> bytes:
    """Return the whole response to a refused request: a problem document."""
    body = document(rejection, request_id)
    head = (
        f"HTTP/1.1 {int(rejection.status)} {rejection.status.phrase}\r\n"
        f"date: {date().decode()}\r\n"
        "content-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\n"
        "cache-control: no-store\r\n"
        "x-content-type-options: nosniff\r\n"
        f"x-request-id: {request_id.decode()}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
