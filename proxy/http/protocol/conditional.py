"""Evaluates conditional requests and range requests for blobs (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from proxy.errors import OutOfRange, PreconditionFailed
from proxy.stores.ranges import ByteRange

if TYPE_CHECKING:
    from litestar.types import HTTPScope

    from proxy.stores.base import Blob

ANY: Final = "*"

_ETAG: Final = re.compile(r'(?:W/)?"[^"]*"')
_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
"""A single range. Several ranges are answered with the whole blob, as RFC 9110 permits (section 14.2)."""

_NAMES: Final = {
    b"if-match": "if_match",
    b"if-none-match": "if_none_match",
    b"if-modified-since": "if_modified_since",
    b"if-unmodified-since": "if_unmodified_since",
    b"if-range": "if_range",
    b"range": "range",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The request headers that decide which bytes of a blob are sent; None if a header is absent."""

    method: str
    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None
    if_range: str | None = None
    range: str | None = None

    @property
    def need_blob(self) -> bool:
        """Whether the blob must be looked up first to decide what is sent."""
        return self != Conditions(method="GET")

    def check(self, blob: Blob) -> None:
        """Return if the blob meets the preconditions (section 13.2.2, steps 1 and 2).

        Raises:
            PreconditionFailed: the blob does not meet them.
        """
        if self.if_match is not None:
            is_well = self.if_match.strip() == ANY or _tag(blob) in _ETAG.findall(self.if_match)
        else:
            until = _seconds(self.if_unmodified_since)
            is_well = until is None or _modified(blob) <= until
        if not is_well:
            raise PreconditionFailed(
                "The file does not match the If-Match or If-Unmodified-Since header; fetch it again."
            )

    def has(self, blob: Blob) -> bool:
        """Return whether the client has these bytes already (steps 3 and 4)."""
        if self.if_none_match is not None:
            return self.names(blob.etag)
        since = _seconds(self.if_modified_since)
        return since is not None and _modified(blob) <= since

    def names(self, etag: str) -> bool:
        """Return whether `If-None-Match` has this ETag, which is without its quotes."""
        told = self.if_none_match or ""
        return told.strip() == ANY or f'"{etag}"' in [tag.removeprefix("W/") for tag in _ETAG.findall(told)]

    def byte_range(self, blob: Blob) -> ByteRange | None:
        """Return the requested range (step 5), or None for the whole blob.

        Raises:
            OutOfRange: the blob has no such range.
        """
        asked = _RANGE.fullmatch(self.range or "")
        if self.method != "GET" or asked is None or not self._is_of(blob):
            return None
        first, last = asked.groups()
        if not first and not last:
            return None
        if first and last and int(first) > int(last):
            return None
        start = int(first) if first else max(blob.bytes - int(last), 0)
        end = min(int(last) + 1, blob.bytes) if first and last else blob.bytes
        if start < end:
            return ByteRange(first=start, end=end, etag=blob.etag)
        if not first and int(last):  # the last bytes of an empty blob: that is the whole blob
            return None
        raise OutOfRange(f"The requested range is outside the file, which has {blob.bytes} bytes.", total=blob.bytes)

    def _is_of(self, blob: Blob) -> bool:
        """Return whether `If-Range` matches this blob; if not, the whole blob is sent (section 13.1.5)."""
        if self.if_range is None:
            return True
        return self.if_range.strip() in (_tag(blob), last_modified(blob))


def conditions(scope: HTTPScope) -> Conditions:
    """Read the conditions of a request; a repeated header counts as one list."""
    told: dict[str, str] = {}
    for name, value in scope["headers"]:
        if field := _NAMES.get(name):
            before = f"{told[field]}, " if field in told else ""
            told[field] = before + value.decode("latin-1")
    return Conditions(method=scope["method"], **told)


def last_modified(blob: Blob) -> str:
    """Return the modification date of a blob in HTTP's format.

    It is never later than the response's `Date` (RFC 9110, section 8.8.2.1): the clock of the store may be ahead.
    """
    return format_datetime(min(blob.modified.astimezone(UTC), datetime.now(UTC)), usegmt=True)


def _tag(blob: Blob) -> str:
    return f'"{blob.etag}"'


def _modified(blob: Blob) -> int:
    return int(blob.modified.timestamp())


def _seconds(date: str | None) -> int | None:
    """Return a date in seconds since the epoch; None if it is absent or invalid, because the header is ignored then."""
    try:
        told = parsedate_to_datetime(date or "")
    except (ValueError, TypeError, IndexError, OverflowError):  # the library documents only the first
        return None
    return int(told.replace(tzinfo=told.tzinfo or UTC).timestamp())
