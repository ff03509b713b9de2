"""Verification of received bytes against their announced length and checksum."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from anyio import open_file

from proxy.errors import StoreUnavailable, TooManyBytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from pathlib import Path

    from proxy.stores.base import Blob


class ChecksumMismatch(StoreUnavailable):
    """The received bytes have the announced length but a different MD5, which is `md5`."""

    def __init__(self, md5: str) -> None:
        super().__init__("The store sent bytes that do not match its ETag (an MD5).")
        self.md5 = md5


async def verified(
    chunks: AsyncIterator[bytes], *, announced_bytes: int | None, md5s: Collection[str] = ()
) -> AsyncIterator[bytes]:
    """Yield `chunks` unchanged and verify their total length, unless it is None, and MD5.

    `md5s` are the accepted MD5s of the whole; if they are empty, the MD5 is not verified.

    Raises:
        StoreUnavailable: the bytes do not match. It is raised at the end, or as soon as too many bytes arrive.
    """
    arrived = 0
    digest = hashlib.md5(usedforsecurity=False)
    async for chunk in chunks:
        arrived += len(chunk)
        if announced_bytes is not None and arrived > announced_bytes:
            break
        if md5s:
            digest.update(chunk)
        yield chunk
    if announced_bytes is not None and arrived != announced_bytes:
        raise StoreUnavailable(f"The store announced {announced_bytes} bytes and sent {arrived} or more.")
    if md5s and digest.hexdigest() not in md5s:
        raise ChecksumMismatch(digest.hexdigest())


async def save(chunks: AsyncIterator[bytes], path: Path) -> int:
    """Write `chunks` to the local file `path`, and return their length; on any error no file is left there."""
    try:
        async with await open_file(path, "wb") as file:
            async for chunk in chunks:
                await file.write(chunk)
            return await file.tell()
    except BaseException:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - one quick call; a cancelled task could not await a thread
        raise


def check_bytes(blob: Blob, max_bytes: int) -> None:
    """Raise if the blob is larger than `max_bytes`.

    Raises:
        TooManyBytes: the blob is larger.
    """
    if blob.bytes > max_bytes:
        raise TooManyBytes(f"The file has {blob.bytes:,} bytes, but the limit is {max_bytes:,}; upload a smaller one.")


async def bounded(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """Yield `chunks` whose total length is unknown.

    Raises:
        TooManyBytes: more than `max_bytes` arrive; what is beyond them is not read.
    """
    arrived = 0
    async for chunk in chunks:
        arrived += len(chunk)
        if arrived > max_bytes:
            raise TooManyBytes(f"The file has more than the limit of {max_bytes:,} bytes; upload a smaller one.")
        yield chunk
