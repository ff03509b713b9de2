"""A store that reads over public HTTP, for credentials that can only write."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx

from proxy.errors import NotFound, StoreRefused, StoreUnavailable
from proxy.stores.base import UNKNOWN_LENGTH
from proxy.stores.certificates import certificate_fault, client_context
from proxy.stores.origin.responses import blob_of, md5s_of, shown, unfit
from proxy.stores.ranges import Changed, cut, parse_content_range
from proxy.stores.retry import StoreRetryPolicy, with_retries
from proxy.stores.transfer import ChecksumMismatch, bounded, check_bytes, save, verified

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

    from proxy.stores.base import Attributes, Blob, BlobVersion, Store
    from proxy.stores.ranges import ByteRange
    from proxy.stores.retry import Attempt

CHUNK_BYTES: Final = 256 * 1024
MAX_REDIRECTS: Final = 3

NO_KEY: Final = "gallformers-images/nothing-is-here"
"""The key that `check` requests. It does not exist: a 404 proves that the origin responds."""

_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})

# A public S3 bucket returns 403 for a missing key to clients that may not list it.
_MISSING: Final = _GONE | {HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginConfig:
    """The limits for reading: number of connections, and timeouts for connecting and for the next bytes."""

    connections: int = 20
    connect_seconds: float = 5.0
    read_seconds: float = 10.0


class OriginStore:
    """A store that reads blobs from their public URL, `address(key)`, and writes them to the store `writes`.

    A blob may be stale for as long as caches in front of the bucket may keep it.
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
        """Start the store `writes` and create the HTTP client for reading."""
        self._held.push_async_callback(self._writes.close)
        await self._writes.start()
        seconds = httpx.Timeout(self._config.read_seconds, connect=self._config.connect_seconds, pool=None)
        limits = httpx.Limits(max_connections=self._config.connections)
        # Without compression, because compressed bytes would not match the announced length.
        headers = {"Accept-Encoding": "identity"}
        context = client_context()
        client = httpx.AsyncClient(timeout=seconds, limits=limits, headers=headers, verify=context)
        self._client = await self._held.enter_async_context(client)

    async def close(self) -> None:
        """Close the HTTP client and the store `writes`."""
        await self._held.aclose()

    async def check(self) -> None:
        """Raise if the store `writes` fails its check or the origin returns no valid response.

        A 403, 404 or 410 is a valid response, because the origin may be empty.
        """
        await self._writes.check()
        await with_retries(self._check_origin, self._retry_policy, whom=self._shown)

    async def _check_origin(self, _attempt: Attempt) -> None:
        async with self._answer("HEAD", NO_KEY) as answer:
            if answer.is_success or answer.status_code in _MISSING:
                return
        async with self._answer("GET", NO_KEY) as answer:
            if not answer.is_success and answer.status_code not in _MISSING:
                raise unfit(answer, is_key=False)

    async def head(self, key: str) -> Blob | None:
        """Return the blob under `key`, or None; see `Store.head`."""

        async def ask(_attempt: Attempt) -> Blob | None:
            async with self._answer("HEAD", key) as answer:
                if answer.status_code in _GONE:
                    return None
                if answer.is_success:
                    return blob_of(key, answer)
            # A HEAD may be forbidden where a GET is not, so only a GET proves that the blob is missing.
            async with self._get(key) as (blob, _):
                return blob

        try:
            return await with_retries(ask, self._retry_policy, whom=self._shown)
        except NotFound:
            return None

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Download a blob to the local file `path`; see `Store.fetch`."""
        seen: dict[str, set[str]] = {}  # the MD5s of the bytes received under each ETag

        async def ask(attempt: Attempt) -> Blob:
            async with self._get(key, {"Cache-Control": "no-cache"} if seen else None) as (blob, answer):
                is_announced = blob.bytes != UNKNOWN_LENGTH
                if is_announced:
                    check_bytes(blob, max_bytes)
                attempt.move(min(blob.bytes, max_bytes))
                # Other web servers, and S3 with customer keys, send ETags that look like an MD5 but are not. So bytes
                # that arrive a second time, past every cache, are accepted as the origin's, whatever the ETag.
                md5s = {*md5s_of(answer), *seen.get(blob.etag, ())}
                body = _chunks(answer) if is_announced else bounded(_chunks(answer), max_bytes)
                announced_bytes = blob.bytes if is_announced else None
                try:
                    arrived = await save(verified(body, announced_bytes=announced_bytes, md5s=md5s), path)
                except ChecksumMismatch as other:
                    seen.setdefault(blob.etag, set()).add(other.md5)
                    raise
                return blob if is_announced else blob_of(key, answer, length=arrived)

        return await with_retries(ask, self._retry_policy, whom=self._shown)

    @asynccontextmanager
    async def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        """Yield a blob and its bytes in chunks; see `Store.open`.

        Only the length is verified, not the MD5: a stream cannot be restarted after a mismatch.
        """
        headers = {"Range": byte_range.range} if byte_range else None
        async with AsyncExitStack() as held:
            blob, answer = await with_retries(
                lambda _attempt: held.enter_async_context(self._get(key, headers)),
                self._retry_policy,
                whom=self._shown,
            )
            if blob.bytes == UNKNOWN_LENGTH:  # neither Content-Length nor a range could be sent
                raise unfit(answer)
            yield blob, _body(blob, answer, byte_range)

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """Store the file `path` under `key`; see `Store.put`."""
        return await self._writes.put(key, path, attributes)

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        """Store the file `path` unless `key` exists; see `Store.put_new`."""
        return await self._writes.put_new(key, path, attributes)

    async def copy(self, source: str, target: str) -> Blob:
        """Copy a blob from `source` to `target` within the store `writes`; see `Store.copy`."""
        return await self._writes.copy(source, target)

    async def delete(self, key: str) -> None:
        """Delete the blob under `key`; see `Store.delete`."""
        await self._writes.delete(key)

    def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        """Yield the blobs under `prefix`, if the credentials may list; see `Store.list`."""
        return self._writes.list(prefix, after=after)

    def versions(self, prefix: str) -> AsyncIterator[BlobVersion]:
        """Yield all versions under `prefix`, if the credentials may list them; see `Store.versions`."""
        return self._writes.versions(prefix)

    async def delete_version(self, key: str, version: str) -> None:
        """Delete a version of a blob; see `Store.delete_version`."""
        await self._writes.delete_version(key, version)

    @asynccontextmanager
    async def _get(
        self, key: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[Blob, httpx.Response]]:
        async with self._answer("GET", key, headers) as answer:
            if answer.status_code in _MISSING:
                raise NotFound("No public file exists under this key.")
            if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise Changed("The blob was replaced by a shorter one while it was read; retry the request.")
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
        raise StoreRefused(
            f"The origin {shown(url)} redirected more than {MAX_REDIRECTS} times: check ORIGINALS_BASE_URL."
        )


def _redirect_target(url: httpx.URL, location: str) -> httpx.URL:
    with _http_errors(url):
        target = url.join(location)
    to_https = url.port is None and (target.scheme, target.port) == ("https", None)
    if target.host != url.host or not (to_https or (target.scheme, target.port) == (url.scheme, url.port)):
        raise StoreRefused(
            f"The origin {shown(url)} redirects to another host or port; set ORIGINALS_BASE_URL to the "
            "final URL of the originals."
        )
    return target


@contextmanager
def _http_errors(url: httpx.URL) -> Iterator[None]:
    try:
        yield
    except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
        # httpx reads the Location of a redirect by itself, and reports one that is no URL as an error of the protocol.
        if any(isinstance(one, httpx.InvalidURL | UnicodeError) for one in (error, error.__context__)):
            raise StoreRefused(
                f"The origin {shown(url)} redirects to an invalid URL: check the file and ORIGINALS_BASE_URL."
            ) from error
        if untrusted := certificate_fault(error, host=url.host, port=url.port):
            raise untrusted from error
        raise StoreUnavailable(
            f"The origin {shown(url)} is unreachable, or the connection failed ({type(error).__name__}); "
            "if this persists, check ORIGINALS_BASE_URL."
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
