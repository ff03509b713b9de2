"""Byte ranges of blobs: request headers, response headers, and extraction from a response."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")


class Changed(StoreError):
    """The blob is no longer the one that the range refers to; `Store.head` returns the current one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """A non-empty range of bytes of the blob with this `etag`, from `first` up to, but not including, `end`."""

    first: int
    end: int
    etag: str

    @property
    def bytes(self) -> int:
        """The number of bytes in the range."""
        return self.end - self.first

    @property
    def range(self) -> str:
        """The value of the `Range` header for a request (RFC 9110, section 14.2)."""
        return f"bytes={self.first}-{self.end - 1}"

    def check(self, etag: str) -> None:
        """Raise if `etag` is not that of the range's blob.

        Raises:
            Changed: `etag` is of another blob.
        """
        if etag != self.etag:
            raise Changed("The blob was replaced while it was read; retry the request.")


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The bytes in a response and the size of the whole blob, from the `Content-Range` header."""

    first: int
    end: int
    whole: int

    @property
    def bytes(self) -> int:
        """The number of bytes in the response."""
        return self.end - self.first


def parse_content_range(content_range: str) -> ContentRange | None:
    """Return the parsed `Content-Range` header, or None if it has no byte range or no total size."""
    told = _CONTENT_RANGE.fullmatch(content_range)
    return ContentRange(int(told[1]), int(told[2]) + 1, int(told[3])) if told else None


def cut(
    chunks: AsyncIterator[bytes], byte_range: ByteRange, content_range: ContentRange | None
) -> AsyncIterator[bytes]:
    """Return the bytes of `byte_range` from the body of a response.

    The body has either that range or, from a server that does not support ranges, the whole blob.

    Raises:
        StoreUnavailable: the response has another range.
    """
    if content_range is None:
        return _between(chunks, byte_range.first, byte_range.end)
    if (content_range.first, content_range.end) != (byte_range.first, byte_range.end):
        raise StoreUnavailable("The store returned another range than the requested one.")
    return chunks


async def _between(chunks: AsyncIterator[bytes], first: int, end: int) -> AsyncIterator[bytes]:
    at = 0
    async for chunk in chunks:
        if piece := chunk[max(first - at, 0) : end - at]:
            yield piece
        at += len(chunk)
        if at >= end:
            return
