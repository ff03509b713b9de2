"""How what is told of a blob travels over HTTP."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSING_STATUSES: Final = frozenset({408, 429, *range(500, 600)} - {501, 505})
"""Too slow, too many, and what a server says of itself; but not that it does not know what was asked."""

METADATA_PREFIX: Final = "x-amz-meta-"

# Not the space: HTTP takes it away at both ends. Not the percent sign: it begins an escape.
_PLAIN: Final = string.punctuation.replace("%", "")
_MD5: Final = re.compile(r"[0-9a-f]{32}")


def escaped(metadata: Mapping[str, str]) -> dict[str, str]:
    """Make metadata fit for headers, which are ASCII: percent escapes of UTF-8 for the rest."""
    return {name: quote(value, safe=_PLAIN) for name, value in metadata.items()}


def unescaped(metadata: Mapping[str, str]) -> dict[str, str]:
    """Undo `escaped`; names come back in lower case, whatever was made of them on the way."""
    return {name.lower(): unquote(value) for name, value in metadata.items()}


def bare(etag: str) -> str:
    """Take the quotes, and the mark of a weak one, off an ETag."""
    return etag.removeprefix("W/").strip('"')


def md5s_in(etag: str) -> tuple[str, ...]:
    """Give the MD5 that an ETag of S3 is; nothing when it is none, as for blobs put in parts, or a weak one."""
    stripped = etag.strip('"')
    return (stripped,) if _MD5.fullmatch(stripped) else ()
