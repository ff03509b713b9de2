"""`GET /img/<key>/<size>`: a redirect to the derivative, or its bytes; a missing one is generated first."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from litestar import asgi

from proxy import metrics
from proxy.concurrency.timings import Timings
from proxy.errors import BadKey, ImagesError, NotFound, StoreUnavailable
from proxy.http.protocol.date import date
from proxy.http.protocol.middleware import count
from proxy.http.protocol.raw_paths import READING, path_below
from proxy.http.protocol.request_id import request_id_of
from proxy.http.protocol.server_timing import server_timing, start_timing
from proxy.http.protocol.streaming import Exchange, NotAccepted
from proxy.keys.layouts import ORIGINAL
from proxy.keys.syntax import decode_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestar.handlers import ASGIRouteHandler
    from litestar.types import Receive, Scope, Send

    from proxy.derivatives.reader import BlobReader
    from proxy.derivatives.service import DerivativeService
    from proxy.http.protocol.connection import Shortcut
    from proxy.http.protocol.streaming import Headers
    from proxy.keys.addresses import PublicAddresses

_logger = logging.getLogger(__name__)

PATH = "/img"
TEMPLATE = "/{key}/{size}"

SHORT_PATHS: Final = 2048
"""How many parsed paths are cached, each of at most `SHORT_PATH_BYTES`: about 1 KB each, so 2 MB when full."""
SHORT_PATH_BYTES: Final = 256

_AT_ONCE: Final = server_timing(Timings()).encode()
_BEGIN: Final = PATH.encode() + b"/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirects:
    """The addresses at which browsers read derivatives, and how long they may cache a redirect."""

    addresses: PublicAddresses
    max_age_seconds: int

    def to(self, key: str, version: str, server_timing: bytes) -> Headers:
        """Return the headers of a redirect to that version of the blob under `key`."""
        return [
            (b"location", self.addresses.of(key, version).encode()),
            (b"cache-control", f"public, max-age={self.max_age_seconds}".encode()),
            (b"server-timing", server_timing),
            (b"content-length", b"0"),
        ]


def redirecting_route(derivatives: DerivativeService, redirects: Redirects) -> ASGIRouteHandler:
    """Return the route under `/img` that redirects.

    It is mounted, because keys may contain slashes and escapes that only the raw path preserves.
    """

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def redirect(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's own signature
        timings = start_timing(scope)
        original, size = key_and_size(path_below(PATH, scope, template=TEMPLATE))
        location = await derivatives.locate(original, size, timings)
        metrics.derivatives_total.labels(location.source).inc()
        headers = redirects.to(location.key, location.version, server_timing(timings).encode())
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return redirect


def streaming_route(derivatives: DerivativeService, reader: BlobReader, *, cache_control: str) -> ASGIRouteHandler:
    """Return the route under `/img` that sends the bytes; `cache_control` applies to blobs without one of their own."""
    reading: set[str] = set()

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        timings = start_timing(scope)
        original, size = key_and_size(path_below(PATH, scope, template=TEMPLATE))
        exchange = Exchange(scope, receive, send)
        try:
            key = original if size == ORIGINAL else derivatives.recipe.key(original, size)
            is_known = derivatives.known_version(key) is not None
            if size == ORIGINAL or (key in reading and not is_known):  # the others of a crowd share one lookup
                location = await derivatives.locate(original, size, timings)
            else:
                with _reading(reading, key):
                    await exchange.answer(reader, key, cache_control=cache_control, accepts=derivatives.accepts)
                derivatives.record_found(key)
                metrics.derivatives_total.labels("cache" if is_known else "store").inc()
                return
        except NotAccepted:
            location = await derivatives.locate(original, size, timings)
        except NotFound:
            location = await derivatives.locate_missing(original, size, timings)
        metrics.derivatives_total.labels(location.source).inc()
        with _confirmed():
            await exchange.answer(reader, location.key, cache_control=cache_control)

    return stream


@contextmanager
def _reading(reading: set[str], key: str) -> Iterator[None]:
    reading.add(key)
    try:
        yield
    finally:
        reading.discard(key)


@contextmanager
def _confirmed() -> Iterator[None]:
    try:
        yield
    except NotFound:
        raise StoreUnavailable("The file was deleted right after it was found.") from None


def shortcut(
    derivatives: DerivativeService, redirects: Redirects, *, fixed_headers: Headers, has_cors: bool
) -> Shortcut:
    """Return a function that answers page views of cached derivatives, with the same redirect as the route.

    It leaves to the route what it does not answer: with CORS enabled, requests that have an Origin header; and all
    requests while the log level is DEBUG, because it writes no log line, which would cost several times as much.
    """

    @lru_cache(SHORT_PATHS)
    def key_of(raw_path: bytes) -> str | None:
        try:
            return derivatives.recipe.key(*key_and_size(raw_path.removeprefix(_BEGIN)))
        except ImagesError:
            return None  # the route reports what is wrong with it

    @lru_cache(SHORT_PATHS)
    def head(key: str, version: str) -> bytes:
        lines = [name + b": " + value for name, value in (*redirects.to(key, version, _AT_ONCE), *fixed_headers)]
        return b"\r\n".join([b"HTTP/1.1 302 Found", *lines, b""])

    def answer(method: bytes, target: bytes, headers: Headers) -> tuple[bytes, bytes] | None:
        started = time.perf_counter()
        if not target.startswith(_BEGIN) or len(target) > SHORT_PATH_BYTES or b"#" in target or method not in _READING:
            return None
        key = key_of(target.partition(b"?")[0])
        version = derivatives.known_version(key) if key else None
        if key is None or version is None or _logger.isEnabledFor(logging.DEBUG):
            return None
        if has_cors and any(name == b"origin" for name, _ in headers):
            return None
        response = b"%sdate: %s\r\nx-request-id: %s\r\n\r\n" % (head(key, version), date(), request_id_of(headers))
        _known.inc()
        count(PATH + TEMPLATE, HTTPStatus.FOUND, time.perf_counter() - started)
        return response, b""

    return answer


_READING = tuple(method.encode() for method in READING)
_known = metrics.derivatives_total.labels("cache")


def key_and_size(raw_path: bytes) -> tuple[str, str]:
    """Return the key of the original and the name of the size that a path below `PATH` consists of.

    Raises:
        BadKey: it consists of something else.
    """
    key, slash, size = raw_path.rpartition(b"/")
    if not slash:
        raise BadKey(f"The path must be {PATH}/<key of the original>/<size>.")
    return decode_path(key), decode_path(size)
