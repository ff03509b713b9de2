"""A store that is read over public HTTP, for credentials that can only write."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx

from proxy.errors import NotFound, StoreRefused, StoreUnavailable
from proxy.stores.arrival import check_bytes, save, verified
from proxy.stores.base import UNKNOWN_TYPE, Attributes, Blob
from proxy.stores.headers import METADATA_PREFIX, PASSING_STATUSES, bare, unescaped
from proxy.stores.patience import Patience, patiently

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from proxy.stores.base import Store

CHUNK_BYTES: Final = 256 * 1024
MAX_REDIRECTS: Final = 3

_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})

# 403 is what a public bucket of S3 says of a key it does not have, to those who may not list it.
_MISSING: Final = _GONE | {HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far reading goes: connections at once, and seconds that a connection or the next bytes may take."""

    connections: int = 20
    connect_seconds: float = 5.0
    read_seconds: float = 10.0


class OriginStore:
    """Reads blobs where everybody can, at `address(key)`; writes them into `writes`.

    What is read may be old by as much as what stands before the bucket may cache.
    """

    def __init__(
        self,
        address: Callable[[str], str],
        writes: Store,
        reach: Reach | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._address = address
        self._writes = writes
        self._reach = reach or Reach()
        self._patience = patience or Patience()
        self._held = AsyncExitStack()

    async def start(self) -> None:
        """Start the store that is written to, and make the client that reads."""
        self._held.push_async_callback(self._writes.close)
        await self._writes.start()
        seconds = httpx.Timeout(self._reach.read_seconds, connect=self._reach.connect_seconds, pool=None)
        limits = httpx.Limits(max_connections=self._reach.connections)
        # Compressed bytes would be other bytes than those announced.
        headers = {"Accept-Encoding": "identity"}
        client = httpx.AsyncClient(timeout=seconds, limits=limits, headers=headers)
        self._client = await self._held.enter_async_context(client)

    async def close(self) -> None:
        """Close the client, and the store that is written to."""
        await self._held.aclose()

    async def check(self) -> None:
        """Return when the store that is written to is in order; nothing public need be there yet."""
        await self._writes.check()

    async def head(self, key: str) -> Blob | None:
        """Tell what is under `key`; see `Store`."""

        async def ask() -> Blob | None:
            async with self._answer("HEAD", key) as answer:
                if answer.status_code in _GONE:
                    return None
                if answer.is_success:
                    return _blob(key, answer)
            # A HEAD may be forbidden where a GET is not: so only a GET proves that nothing is there.
            async with self._found(key) as (blob, _):
                return blob

        try:
            return await patiently(ask, self._patience)
        except NotFound:
            return None

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Write the whole blob to `path`; see `Store`."""

        async def ask() -> Blob:
            async with self._found(key) as (blob, chunks):
                check_bytes(blob, max_bytes)
                await save(chunks, path)
                return blob

        return await patiently(ask, self._patience)

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        """Read a blob in chunks; see `Store`."""
        async with AsyncExitStack() as held:
            yield await patiently(lambda: held.enter_async_context(self._found(key)), self._patience)

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """Keep the bytes of `path`; see `Store`."""
        return await self._writes.put(key, path, attributes)

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        """Keep the bytes of `path` where nothing is yet; see `Store`."""
        return await self._writes.put_new(key, path, attributes)

    async def delete(self, key: str) -> None:
        """Remove what is under `key`; see `Store`."""
        await self._writes.delete(key)

    def list(self, prefix: str = "") -> AsyncIterator[Blob]:
        """Walk the blobs, as far as the credentials can; see `Store`."""
        return self._writes.list(prefix)

    @asynccontextmanager
    async def _found(self, key: str) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        async with self._answer("GET", key) as answer:
            if answer.status_code in _MISSING:
                raise NotFound("Nothing that the public may read is under that key.")
            blob = _blob(key, answer)
            yield blob, verified(_chunks(answer), announced_bytes=blob.bytes, md5=None)

    @asynccontextmanager
    async def _answer(self, method: str, key: str) -> AsyncIterator[httpx.Response]:
        url = httpx.URL(self._address(key))
        for _ in range(MAX_REDIRECTS + 1):
            async with AsyncExitStack() as held:
                with _http_errors():
                    answer = await held.enter_async_context(self._client.stream(method, url))
                if not answer.has_redirect_location:
                    yield answer
                    return
                url = _followed(url, answer.headers["Location"])
        raise StoreRefused("The origin redirects in circles.")


def _followed(url: httpx.URL, location: str) -> httpx.URL:
    target = url.join(location)
    if target.host != url.host or target.scheme not in {url.scheme, "https"}:
        raise StoreRefused("The origin redirects to another host; set ORIGINALS_BASE_URL to where the originals are.")
    return target


@contextmanager
def _http_errors() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise StoreUnavailable(f"The origin cannot be reached, or broke off ({type(error).__name__}).") from error


def _blob(key: str, answer: httpx.Response) -> Blob:
    if answer.status_code in PASSING_STATUSES:
        raise StoreUnavailable(f"The origin cannot do it now ({answer.status_code}).")
    headers = answer.headers
    length = headers.get("Content-Length", "")
    if answer.status_code != HTTPStatus.OK or not length.isdecimal() or "Content-Encoding" in headers:
        raise StoreRefused(f"The origin's answer ({answer.status_code}) is not a plain file of a known length.")
    modified = headers.get("Last-Modified", "")
    return Blob(
        key=key,
        bytes=int(length),
        etag=bare(headers.get("ETag", "")) or f"{modified}-{length}".replace(" ", "-"),
        modified=_date(modified),
        attributes=Attributes(
            content_type=headers.get("Content-Type", UNKNOWN_TYPE),
            cache_control=headers.get("Cache-Control"),
            metadata=unescaped(
                {
                    name.removeprefix(METADATA_PREFIX): value
                    for name, value in headers.items()
                    if name.startswith(METADATA_PREFIX)
                }
            ),
        ),
    )


def _date(told: str) -> datetime:
    try:
        return parsedate_to_datetime(told)
    except ValueError:
        return datetime.now(UTC)


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    with _http_errors():
        async for chunk in answer.aiter_raw(CHUNK_BYTES):
            yield chunk
