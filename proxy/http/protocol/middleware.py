"""The middleware of every request: request id, common headers, log line and metrics."""

from __future__ import annotations

import asyncio
import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from litestar.enums import ScopeType

from proxy import metrics
from proxy.concurrency.timings import Timings
from proxy.http.protocol.date import date
from proxy.http.protocol.failure import Failure, failure_of, note_failure
from proxy.http.protocol.rejections import STOPPING, document
from proxy.http.protocol.request_id import REQUEST_ID, request_id_of
from proxy.http.protocol.server_timing import timings_of

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send
    from prometheus_client import Counter, Histogram

    from proxy.http.protocol.streaming import Headers

log = structlog.get_logger(__name__)

DATE = b"date"

RETRY_AFTER = b"5"
"""Seconds after which another process may have taken over."""

SHOWN_BYTES = 4096
"""The maximum length of a logged path: longer than any key, percent-encoded."""

SECRET_SEGMENT = "{token}"  # noqa: S105 - the name of a path parameter
"""The last segment of the templates of routes whose paths are secrets; such paths are not logged."""

GET_ONLY = "/schema"
"""Routes of Litestar's own, which it does not serve to HEAD requests."""

QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/queue"})
"""Routes whose successful responses are not logged: platforms and open pages poll them every few seconds."""


def middleware(app: ASGIApp, *, fixed_headers: list[tuple[bytes, bytes]]) -> ASGIApp:
    """Wrap the application; `fixed_headers` are added to every response."""

    async def observed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = request_id_of(scope["headers"])
        if scope["method"] == "HEAD" and scope["path"].startswith(GET_ONLY):
            scope = {**scope, "method": "GET"}  # the server drops the body
        status, has_started = 500, False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, has_started
            if message["type"] == "http.response.start":
                status, has_started = message["status"], True
                own = [*message["headers"]]
                message["headers"] = [*own, (DATE, date()), (REQUEST_ID, request_id), *_absent(own, fixed_headers)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            try:
                await app(scope, receive, send_with_headers)
            except asyncio.CancelledError:  # by the server, at the end of its grace period
                if has_started:
                    raise
                note_failure(scope, STOPPING.reason, STOPPING.detail)
                await _give_up(send_with_headers, request_id)
            finally:
                _record(scope, status=status, seconds=time.perf_counter() - started)

    return observed


def _absent(headers: Headers, fixed_headers: Headers) -> Headers:
    """Return the fixed headers that a response lacks; Litestar sets `Vary` where the origin of a request is allowed."""
    own = {(name.lower(), value.lower()) for name, value in headers}
    return [header for header in fixed_headers if (header[0], header[1].lower()) not in own]


async def _give_up(send: Send, request_id: bytes) -> None:
    """Answer a request that the server no longer waits for; its own answer would be plain text."""
    body = document(STOPPING, request_id)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"retry-after", RETRY_AFTER),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": int(STOPPING.status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _record(scope: Scope, *, status: int, seconds: float) -> None:
    route = str(scope.get("path_template") or "unknown")  # the pattern, never the path: labels must be bounded
    count(route, status, seconds)
    if route in QUIET_ROUTES and status < HTTPStatus.BAD_REQUEST:
        return
    _log(scope, route=route, status=status, seconds=seconds)


def count(route: str, status: int, seconds: float) -> None:
    """Count a response and its duration."""
    requests, durations = _series(route, status)
    requests.inc()
    durations.observe(seconds)


@lru_cache(maxsize=256)
def _series(route: str, status: int) -> tuple[Counter, Histogram]:
    """Return the metrics of a route and status; cached, because the library's lookup takes longer than counting."""
    return metrics.http_requests_total.labels(route, status), metrics.http_request_seconds.labels(route)


def _log(scope: Scope, *, route: str, status: int, seconds: float) -> None:
    """Log a request; if it failed, with the reason and the time that it spent."""
    path = scope["raw_path"].partition(b"?")[0][:SHOWN_BYTES].decode("latin-1")  # a query may hold a token
    (log.warning if status >= HTTPStatus.INTERNAL_SERVER_ERROR else log.info)(
        "request",
        method=scope["method"],  # type: ignore[typeddict-item] # only http scopes get here
        path=route if route.endswith(SECRET_SEGMENT) else path,
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 2),
        **(_reason(scope) if status >= HTTPStatus.BAD_REQUEST else {}),
    )


def _reason(scope: Scope) -> dict[str, str | float]:
    """Return why a request failed, and how long it spent in the store, in queues and in renders."""
    failure, timings = failure_of(scope) or Failure("", ""), timings_of(scope) or Timings()
    return {
        "code": failure.code,
        "detail": failure.detail,
        "store_seconds": round(timings.store_seconds, 3),
        "wait_seconds": round(timings.wait_seconds, 3),
        "render_seconds": round(timings.render_seconds, 3),
    }
