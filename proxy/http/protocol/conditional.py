"""What a client is due that asks for a blob on conditions, or for a part of it (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from proxy.errors import NotAsBefore, OutOfRange
from proxy.stores.ranges import ByteRange

if TYPE_CHECKING:
    from litestar.types import HTTPScope

    from proxy.stores.base import Blob

ANY: Final = "*"

_ETAG: Final = re.compile(r'(?:W/)?"[^"]*"')
_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
"""One part. Several at a time are answered with the whole, as RFC 9110 permits (section 14.2)."""

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
    """The headers of a request that decide what of a blob is sent; None where they are not there."""

    method: str
    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None
    if_range: str | None = None
    range: str | None = None

    @property
    def need_blob(self) -> bool:
        """Whether it takes a look at the blob to know what of it is sent."""
        return self != Conditions(method="GET")

    def check(self, blob: Blob) -> None:
        """Return when the blob is as the client wants it to be (section 13.2.2, steps 1 and 2).

        Raises:
            NotAsBefore: it is not.
        """
        if self.if_match is not None:
            is_well = self.if_match.strip() == ANY or _tag(blob) in _ETAG.findall(self.if_match)
        else:
            until = _seconds(self.if_unmodified_since)
            is_well = until is None or _modified(blob) <= until
        if not is_well:
            raise NotAsBefore("It is no longer as it was when it was asked for.")

    def has(self, blob: Blob) -> bool:
        """Tell whether the client has these bytes already (steps 3 and 4)."""
        if self.if_none_match is not None:
            tags = [tag.removeprefix("W/") for tag in _ETAG.findall(self.if_none_match)]
            return self.if_none_match.strip() == ANY or _tag(blob) in tags
        since = _seconds(self.if_modified_since)
        return since is not None and _modified(blob) <= since

    def byte_range(self, blob: Blob) -> ByteRange | None:
        """Give the part that is wanted (step 5); None for the whole.

        Raises:
            OutOfRange: the blob has no such part.
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
        if not first and int(last):  # the last bytes of nothing at all
            return None
        raise OutOfRange(f"It has {blob.bytes} bytes; that part is beyond them.", whole=blob.bytes)

    def _is_of(self, blob: Blob) -> bool:
        """Tell whether the part is wanted of this blob; if not, the whole is (section 13.1.5)."""
        if self.if_range is None:
            return True
        return self.if_range.strip() in (_tag(blob), last_modified(blob))


def conditions(scope: HTTPScope) -> Conditions:
    """Read the conditions off a request; a header that comes several times is one list."""
    told: dict[str, str] = {}
    for name, value in scope["headers"]:
        if field := _NAMES.get(name):
            before = f"{told[field]}, " if field in told else ""
            told[field] = before + value.decode("latin-1")
    return Conditions(method=scope["method"], **told)


def last_modified(blob: Blob) -> str:
    """Give the date of a blob as HTTP writes it."""
    return format_datetime(blob.modified.astimezone(UTC), usegmt=True)


def _tag(blob: Blob) -> str:
    return f'"{blob.etag}"'


def _modified(blob: Blob) -> int:
    return int(blob.modified.timestamp())


def _seconds(date: str | None) -> int | None:
    """Read a date; None where there is none, or none that can be read, as such a header is ignored."""
    try:
        told = parsedate_to_datetime(date or "")
    except (ValueError, TypeError, IndexError, OverflowError):  # the library promises none but the first
        return None
    return int(told.replace(tzinfo=told.tzinfo or UTC).timestamp())
