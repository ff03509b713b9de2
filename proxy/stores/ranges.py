"""A part of a blob, asked for and cut out of what a store sends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")


class Changed(StoreError):
    """What is under the key is no longer the blob that a part was asked of; whoever looks again, sees that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Some bytes of one blob: from `first` up to `end`, which is not among them; `etag` says which blob's.

    There is at least one such byte.
    """

    first: int
    end: int
    etag: str

    @property
    def bytes(self) -> int:
        """How many bytes it has."""
        return self.end - self.first

    @property
    def range(self) -> str:
        """The header `Range` that asks for it (RFC 9110, section 14.2)."""
        return f"bytes={self.first}-{self.end - 1}"

    def check(self, etag: str) -> None:
        """Return when `etag` is that of the blob meant.

        Raises:
            Changed: it is another blob's.
        """
        if etag != self.etag:
            raise Changed("It was replaced in the moment it was read; ask again.")


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes an answer has, and how many the whole blob: what the header `Content-Range` tells."""

    first: int
    end: int
    whole: int

    @property
    def bytes(self) -> int:
        """How many bytes the answer has."""
        return self.end - self.first


def parse_content_range(content_range: str) -> ContentRange | None:
    """Read a `Content-Range`; None when it tells of no part whose whole is known."""
    told = _CONTENT_RANGE.fullmatch(content_range)
    return ContentRange(int(told[1]), int(told[2]) + 1, int(told[3])) if told else None


def cut(
    chunks: AsyncIterator[bytes], byte_range: ByteRange, content_range: ContentRange | None
) -> AsyncIterator[bytes]:
    """Give the bytes of `byte_range` out of what came: itself, or the whole blob, of a store that knows no parts.

    Raises:
        StoreUnavailable: another part came.
    """
    if content_range is None:
        return _between(chunks, byte_range.first, byte_range.end)
    if (content_range.first, content_range.end) != (byte_range.first, byte_range.end):
        raise StoreUnavailable("The store sends another part than it was asked for.")
    return chunks


async def _between(chunks: AsyncIterator[bytes], first: int, end: int) -> AsyncIterator[bytes]:
    at = 0
    async for chunk in chunks:
        if piece := chunk[max(first - at, 0) : end - at]:
            yield piece
        at += len(chunk)
        if at >= end:
            return
