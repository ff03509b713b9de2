"""HTTP headers and statuses that the stores share."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from proxy.stores.base import UNKNOWN_TYPE, Attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSING_STATUSES: Final = frozenset({408, 429, *range(500, 600)} - {501, 505})
"""Statuses of transient failures: timeouts, rate limits and server errors.

501 and 505 are excluded: the server does not support the request.
"""

METADATA_PREFIX: Final = "x-amz-meta-"

# Punctuation that needs no escape. `%` is excluded because it starts one. So is the space: HTTP strips it at both ends.
_PLAIN: Final = string.punctuation.replace("%", "")
_MD5: Final = re.compile(r"[0-9a-f]{32}")

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE: Final = re.compile(rf"{_NAME}/{_NAME}(?:[ \t]*;[\t\x20-\x7e]*)?")
"""A `Content-Type` (RFC 9110, 8.3.1); its parameters may be any visible text."""
_FIELD_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
_ETAG: Final = re.compile(r"[\x21\x23-\x7e]*")

MAX_FIELD_BYTES: Final = 1024
"""The longest stored header that is sent to clients: proxies reject responses whose headers exceed 4 KiB to 8 KiB."""


def escaped(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata encoded for HTTP headers, which are ASCII: other characters are percent-encoded UTF-8."""
    return {name: quote(value, safe=_PLAIN) for name, value in metadata.items()}


def unescaped(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata decoded from HTTP headers; names are in lower case, even if a server changed their case."""
    return {name.lower(): unquote(value) for name, value in metadata.items()}


def stored_attributes(content_type: str, cache_control: str | None, metadata: Mapping[str, str]) -> Attributes:
    """Return the attributes of a blob, without those that no response can send.

    Anyone who can write to a bucket chooses these values, and a server refuses to send a header with a line break in
    it, so the client would get no response at all. An invalid content type becomes `UNKNOWN_TYPE`.
    """
    is_type = len(content_type) <= MAX_FIELD_BYTES and _MEDIA_TYPE.fullmatch(content_type)
    is_control = cache_control and len(cache_control) <= MAX_FIELD_BYTES and _FIELD_VALUE.fullmatch(cache_control)
    return Attributes(
        content_type=content_type if is_type else UNKNOWN_TYPE,
        cache_control=cache_control if is_control else None,
        metadata=metadata,
    )


def is_entity_tag(etag: str) -> bool:
    """Return whether a bare ETag can be sent in quotes (RFC 9110, 8.8.3)."""
    return len(etag) <= MAX_FIELD_BYTES and _ETAG.fullmatch(etag) is not None


def bare(etag: str) -> str:
    """Return an ETag without its quotes and without the `W/` of a weak one."""
    return etag.removeprefix("W/").strip('"')


def md5s_in(etag: str) -> tuple[str, ...]:
    """Return the MD5 in an S3 ETag, or nothing if the ETag is not an MD5.

    The ETags of multipart uploads and weak ETags are not MD5s.
    """
    stripped = etag.strip('"')
    return (stripped,) if _MD5.fullmatch(stripped) else ()
