"""Streams a blob from the store to a client: whole, in part, or not at all if the client has it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final, cast

import structlog
from anyio import create_task_group

from proxy.errors import StoreError
from proxy.http.protocol.conditional import conditions, last_modified
from proxy.http.protocol.server_timing import server_timing, start_timing, timings_of
from proxy.stores.headers import is_entity_tag
from proxy.stores.ranges import Changed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio import CancelScope
    from litestar.types import HTTPScope, Receive, Scope, Send

    from proxy.concurrency.timings import Timings
    from proxy.derivatives.reader import BlobReader
    from proxy.stores.base import Blob
    from proxy.stores.ranges import ByteRange

log = structlog.get_logger(__name__)

STALL_SECONDS: Final = 30.0
"""How long a client may take per chunk; then its connection to the store is released."""

NO_SCRIPTS: Final = b"default-src 'none'; sandbox"
"""A stored file may be an HTML page; it must not run under this service's origin (Content-Security-Policy)."""

OK, PARTIAL_CONTENT, NOT_MODIFIED = 200, 206, 304

Headers = list[tuple[bytes, bytes]]


class NotAccepted(Exception):
    """A blob was found that the caller of `Exchange.answer` does not accept; nothing was sent."""


class Exchange:
    """A request for the bytes of a blob, and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, stall_seconds: float = STALL_SECONDS) -> None:
        self._asked = conditions(cast("HTTPScope", scope))
        self._timings = timings_of(scope) or start_timing(scope)
        self._client = (scope.get("client") or ("", 0))[0]
        self._stall_seconds = stall_seconds
        self._receive = receive
        self._send = send

    async def answer(
        self,
        reader: BlobReader,
        key: str,
        *,
        cache_control: str = "",
        accepts: Callable[[Blob], bool] = lambda _: True,
    ) -> None:
        """Send the blob under `key` as the request's conditions require.

        `cache_control` applies to blobs that have none of their own.

        Raises:
            NotFound, StoreError, Busy, OutOfRange, PreconditionFailed: nothing was sent.
            NotAccepted: `accepts` returned False; nothing was sent.
        """
        told = BlobResponse(cache_control, self._timings)
        try:
            await self._answer(reader, key, told, accepts)
        except Changed:  # replaced between the lookup and the read
            reader.forget(key)
            await self._answer(reader, key, told, accepts)

    async def _answer(self, reader: BlobReader, key: str, told: BlobResponse, accepts: Callable[[Blob], bool]) -> None:
        byte_range = None
        if self._asked.need_blob:
            with self._timings.measure_store():
                blob = await reader.look(key)
            if not accepts(blob):
                raise NotAccepted
            self._asked.check(blob)
            if self._asked.has(blob):
                await self._send_head(NOT_MODIFIED, told.of_unchanged(blob), more_body=False)
                return
            if self._asked.method == "HEAD":
                await self._send_head(OK, told.of(blob), more_body=False)
                return
            byte_range = self._asked.byte_range(blob)
        async with AsyncExitStack() as stack:
            with self._timings.measure_store():
                opened = reader.open(key, byte_range, client=self._client)
                blob, chunks, evicted = await stack.enter_async_context(opened)
            if not accepts(blob):
                raise NotAccepted
            await self._send_head(PARTIAL_CONTENT if byte_range else OK, told.of(blob, byte_range), more_body=True)
            await self._send_all(chunks, key, evicted)

    async def _send_head(self, status: int, headers: Headers, *, more_body: bool) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        if not more_body:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, chunks: AsyncIterator[bytes], key: str, evicted: asyncio.Event) -> None:
        """Send all chunks, or stop when the client disconnects, stalls, or is so slow that others need its slot.

        If the store fails, the response ends before its announced length, which the client detects.
        """
        async with create_task_group() as tasks:
            tasks.start_soon(self._wait_for_disconnect, tasks.cancel_scope)
            tasks.start_soon(self._wait_for_eviction, evicted, tasks.cancel_scope, key)
            try:
                async for chunk in chunks:
                    await self._send_chunk(chunk, more_body=True)
                await self._send_chunk(b"", more_body=False)
            except StoreError as error:
                log.error("stream_failed", key=key, code=error.code, detail=str(error))  # noqa: TRY400 - no trace
            except TimeoutError:
                log.warning("stream_stalled", key=key, seconds=self._stall_seconds)
            tasks.cancel_scope.cancel()

    async def _send_chunk(self, chunk: bytes, *, more_body: bool) -> None:
        async with asyncio.timeout(self._stall_seconds):
            await self._send({"type": "http.response.body", "body": chunk, "more_body": more_body})

    async def _wait_for_eviction(self, evicted: asyncio.Event, sending: CancelScope, key: str) -> None:
        await evicted.wait()
        log.warning("stream_evicted", key=key, client=self._client)
        sending.cancel()

    async def _wait_for_disconnect(self, sending: CancelScope) -> None:
        with suppress(OSError):
            while (await self._receive())["type"] != "http.disconnect":
                pass
        sending.cancel()


class BlobResponse:
    """The headers of a response about a blob."""

    def __init__(self, cache_control: str, timings: Timings) -> None:
        self._cache_control = cache_control
        self._timings = timings

    def of_unchanged(self, blob: Blob) -> Headers:
        """Return the headers of a 304."""
        cache_control = blob.attributes.cache_control or self._cache_control
        return [
            *([(b"etag", f'"{blob.etag}"'.encode())] if is_entity_tag(blob.etag) else []),
            (b"last-modified", last_modified(blob).encode()),
            *([(b"cache-control", cache_control.encode())] if cache_control else []),
            (b"server-timing", server_timing(self._timings).encode()),
        ]

    def of(self, blob: Blob, byte_range: ByteRange | None = None) -> Headers:
        """Return the headers of a 200, or of a 206 with a part of the blob."""
        sent = f"bytes {byte_range.first}-{byte_range.end - 1}/{blob.bytes}".encode() if byte_range else b""
        return [
            (b"content-type", blob.attributes.content_type.encode()),
            (b"content-length", str(byte_range.bytes if byte_range else blob.bytes).encode()),
            (b"accept-ranges", b"bytes"),
            (b"content-security-policy", NO_SCRIPTS),
            *([(b"content-range", sent)] if byte_range else []),
            *self.of_unchanged(blob),
        ]
