"""The headers of responses, as the document lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar.openapi.spec import OpenAPIHeader, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.http.document.operations import OperationRow

_TEXT = Schema(type=OpenAPIType.STRING)
_PATH = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.URI_REFERENCE)
_SECONDS = Schema(type=OpenAPIType.INTEGER, minimum=1)


def _header(description: str, example: object, *, schema: Schema = _TEXT, required: bool = False) -> OpenAPIHeader:
    shown = Schema(type=schema.type, format=schema.format, minimum=schema.minimum, examples=[example])
    return OpenAPIHeader(description=description, schema=shown, required=required)


HEADERS: Final[Mapping[str, OpenAPIHeader]] = {
    "X-Request-Id": _header("The id of the request, which the log has too.", "8c6b1f0a4d2e4c3b", required=True),
    "Cache-Control": _header("How long caches may keep the response.", "no-store", required=True),
    "Location": _header("The path of the job.", "/v1/jobs/0f3c9a52b7e1", schema=_PATH, required=True),
    "Retry-After": _header("Seconds to wait before the request is sent again.", 5, schema=_SECONDS),
    "WWW-Authenticate": _header("How to prove who sends the request.", "StandardWebhooks", required=True),
    "Content-Range": _header("The part of the file that is sent, and the length of the file.", "bytes 0-99/19380"),
    "ETag": _header("Changes whenever the response changes.", '"5d41402abc4b2a76"', required=True),
    "Last-Modified": _header("When the file was stored.", "Sun, 29 Nov 2026 10:00:00 GMT"),
    "Server-Timing": _header("Milliseconds of the store, of waiting and of rendering.", "store;dur=1.2, wait;dur=0.0"),
    "Allow": _header("The methods of the path.", "GET, HEAD"),
}
"""Every header that the document lists, by name."""

_EVERY: Final = ("X-Request-Id",)
_OF_PROBLEMS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    416: ("Content-Range",),
    502: ("Retry-After",),
    503: ("Retry-After",),
}
_IMAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "200": ("ETag", "Last-Modified", "Cache-Control"),
    "206": ("ETag", "Last-Modified", "Cache-Control", "Content-Range"),
    "304": ("ETag", "Cache-Control"),
    "302": ("Cache-Control", "Server-Timing"),
}
_UNCACHED_ONLY_IN_PROBLEMS: Final = frozenset({"getLiveness"})
_FILES: Final = frozenset({"getImage", "getFile"})


def header_references(row: OperationRow, status: str) -> dict[str, OpenAPIHeader | Reference]:
    """Return the headers of the response of an operation with this status."""
    names = [*_EVERY]
    if int(status) >= 400:  # noqa: PLR2004 - the statuses of errors
        names += ["Cache-Control", *_OF_PROBLEMS.get(int(status), ())]
    elif row.name in _FILES:
        names += _IMAGES[status]
    elif row.name == "getPicture":
        names += ["ETag", "Cache-Control"]
    elif row.name not in _UNCACHED_ONLY_IN_PROBLEMS:
        names.append("Cache-Control")
        names += ["Location"] * row.sends_location
    return {name: Reference(ref=f"#/components/headers/{name}") for name in names}
