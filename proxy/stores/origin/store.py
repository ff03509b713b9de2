"""A store that is read over public HTTP, for credentials that can only write."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx

from proxy.errors import NotFound, StoreRefused, StoreUnavailable
from proxy.stores.origin.responses import blob_of, md5s_of, shown, unfit
from proxy.stores.ranges import Changed, cut, parse_content_range
from proxy.stores.retry import StoreRetryPolicy, with_retries
from proxy.stores.transfer import ChecksumMismatch, check_bytes, save, verified

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

    from proxy.stores.base import Attributes, Blob, Store
    from proxy.stores.ranges import ByteRange
    from proxy.stores.retry import Attempt

CHUNK_BYTES: Final = 256 * 1024
MAX_REDIRECTS: Final = 3

NO_KEY: Final = "gallformers-images/nothing-is-here"
"""Asked for to see whether the origin answers: that nothing is there is an answer."""

_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})

# 403 is what a public bucket of S3 says of a key it does not have, to those who may not list it.
_MISSING: Final = _GONE | {HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginConfig:
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
        config: OriginConfig | None = None,
        retry_policy: StoreRetryPolicy | None = None,
    ) -> None:
        self._address = address
        self._writes = writes
        self._config = config or OriginConfig()
        self._retry_policy = retry_policy or StoreRetryPolicy()
        self._shown = f"origin {shown(httpx.URL(address(NO_KEY)))}"
        self._held = AsyncExitStack()

    async def start(self) -> None:
        """Start the store that is written to, and make the client that reads."""
        self._held.push_async_callback(self._writes.close)
        await self._writes.start()
        seconds = httpx.Timeout(self._config.read_seconds, connect=self._config.connect_seconds, pool=None)
        limits = httpx.Limits(max_connections=self._config.connections)
        # Compressed bytes would be other bytes than those announced.
        headers = {"Accept-Encoding": "identity"}
        client = httpx.AsyncClient(timeout=seconds, limits=limits, headers=headers)
        self._client = await self._held.enter_async_context(client)

    async def close(self) -> None:
        """Close the client, and the store that is written to."""
        await self._held.aclose()

    async def check(self) -> None:
        """Return when the store that is written to is in order, and the origin answers; nothing need be there yet."""
        await self._writes.check()
        await with_retries(self._check_origin, self._retry_policy, whom=self._shown)

    async def _check_origin(self, _attempt: Attempt) -> None:
        async with self._answer("HEAD", NO_KEY) as answer:
            if answer.is_success or answer.status_code in _MISSING:
                return
        async with self._answer("GET", NO_KEY) as answer:
            if not answer.is_success and answer.status_code not in _MISSING:
                raise unfit(answer)

    async def head(self, key: str) -> Blob | None:
        """Tell what is under `key`; see `Store`."""

        async def ask(_attempt: Attempt) -> Blob | None:
            async with self._answer("HEAD", key) as answer:
                if answer.status_code in _GONE:
                    return None
                if answer.is_success:
                    return blob_of(key, answer)
            # A HEAD may be forbidden where a GET is not: so only a GET proves that nothing is there.
            async with self._get(key) as (blob, _):
                return blob

        try:
            return await with_retries(ask, self._retry_policy, whom=self._shown)
        except NotFound:
            return None

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Write the whole blob to `path`; see `Store`."""
        seen: dict[str, set[str]] = {}  # the MD5s of what has come under each ETag

        async def ask(attempt: Attempt) -> Blob:
            async with self._get(key, {"Cache-Control": "no-cache"} if seen else None) as (blob, answer):
                check_bytes(blob, max_bytes)
                attempt.move(blob.bytes)
                # Other web servers, and S3 with keys of the customer, make ETags that look like an MD5 and are none.
                # So bytes that come a second time, past every cache, are what the origin has, whatever the ETag.
                md5s = {*md5s_of(answer), *seen.get(blob.etag, ())}
                try:
                    await save(verified(_chunks(answer), announced_bytes=blob.bytes, md5s=md5s), path)
                except ChecksumMismatch as other:
                    seen.setdefault(blob.etag, set()).add(other.md5)
                    raise
                return blob

        return await with_retries(ask, self._retry_policy, whom=self._shown)

    @asynccontextmanager
    async def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        """Read a blob in chunks; see `Store`. Only their number is compared: a stream cannot begin once more."""
        headers = {"Range": byte_range.range} if byte_range else None
        async with AsyncExitStack() as held:
            blob, answer = await with_retries(
                lambda _attempt: held.enter_async_context(self._get(key, headers)),
                self._retry_policy,
                whom=self._shown,
            )
            yield blob, _body(blob, answer, byte_range)

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """Keep the bytes of `path`; see `Store`."""
        return await self._writes.put(key, path, attributes)

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        """Keep the bytes of `path` where nothing is yet; see `Store`."""
        return await self._writes.put_new(key, path, attributes)

    async def copy(self, source: str, target: str) -> Blob:
        """Put what is under `source` under `target` too, in the bucket; see `Store`."""
        return await self._writes.copy(source, target)

    async def delete(self, key: str) -> None:
        """Remove what is under `key`; see `Store`."""
        await self._writes.delete(key)

    def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        """Walk the blobs, as far as the credentials can; see `Store`."""
        return self._writes.list(prefix, after=after)

    @asynccontextmanager
    async def _get(
        self, key: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[Blob, httpx.Response]]:
        async with self._answer("GET", key, headers) as answer:
            if answer.status_code in _MISSING:
                raise NotFound("Nothing that the public may read is under that key.")
            if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise Changed("It was replaced by something shorter in the moment it was read; ask again.")
            yield blob_of(key, answer), answer

    @asynccontextmanager
    async def _answer(
        self, method: str, key: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        url = httpx.URL(self._address(key))
        for _ in range(MAX_REDIRECTS + 1):
            async with AsyncExitStack() as held:
                with _http_errors(url):
                    answer = await held.enter_async_context(self._client.stream(method, url, headers=headers))
                if not answer.has_redirect_location:
                    yield answer
                    return
                url = _redirect_target(url, answer.headers["Location"])
        raise StoreRefused(f"The origin {shown(url)} redirects in circles: check ORIGINALS_BASE_URL.")


def _redirect_target(url: httpx.URL, location: str) -> httpx.URL:
    target = url.join(location)
    to_https = url.port is None and (target.scheme, target.port) == ("https", None)
    if target.host != url.host or not (to_https or (target.scheme, target.port) == (url.scheme, url.port)):
        raise StoreRefused(
            f"The origin {shown(url)} redirects to another host or port; set ORIGINALS_BASE_URL to where the "
            "originals are."
        )
    return target


@contextmanager
def _http_errors(url: httpx.URL) -> Iterator[None]:
    try:
        yield
    except (httpx.TransportError, UnicodeError) as error:  # the latter of a name that no host can have
        raise StoreUnavailable(
            f"The origin {shown(url)} cannot be reached, or broke off ({type(error).__name__}); "
            "if that lasts, check ORIGINALS_BASE_URL."
        ) from error


def _body(blob: Blob, answer: httpx.Response, byte_range: ByteRange | None) -> AsyncIterator[bytes]:
    content_range = parse_content_range(answer.headers.get("Content-Range", ""))
    body = verified(_chunks(answer), announced_bytes=content_range.bytes if content_range else blob.bytes)
    if byte_range is None:
        return body
    byte_range.check(blob.etag)
    return cut(body, byte_range, content_range)


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    with _http_errors(answer.url):
        async for chunk in answer.aiter_raw(CHUNK_BYTES):
            yield chunk
