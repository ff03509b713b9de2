"""HTTP headers and statuses that the stores share."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

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


def escaped(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata encoded for HTTP headers, which are ASCII: other characters are percent-encoded UTF-8."""
    return {name: quote(value, safe=_PLAIN) for name, value in metadata.items()}


def unescaped(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata decoded from HTTP headers; names are in lower case, even if a server changed their case."""
    return {name.lower(): unquote(value) for name, value in metadata.items()}


def bare(etag: str) -> str:
    """Return an ETag without its quotes and without the `W/` of a weak one."""
    return etag.removeprefix("W/").strip('"')


def md5s_in(etag: str) -> tuple[str, ...]:
    """Return the MD5 in an S3 ETag, or nothing if the ETag is not an MD5.

    The ETags of multipart uploads and weak ETags are not MD5s.
    """
    stripped = etag.strip('"')
    return (stripped,) if _MD5.fullmatch(stripped) else ()
