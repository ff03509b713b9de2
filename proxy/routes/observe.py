"""What every request gets: an id, the headers of every answer, a line in the log, its place in the series."""

from __future__ import annotations

import re
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from litestar.enums import ScopeType

from proxy import metrics

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

REQUEST_ID = b"x-request-id"

SHOWN_BYTES = 4096
"""How much of a path is logged: more than any key has, percent-encoded."""

_SANE_ID = re.compile(rb"[\w.:-]{1,64}")
"""Ids of callers are taken over if they cannot forge a log line or swell it."""

QUIET_ROUTES = frozenset({"/healthz", "/readyz"})
"""Routes whose good answers are not logged: a platform asks them every few seconds."""


def observe(app: ASGIApp, *, fixed_headers: list[tuple[bytes, bytes]]) -> ASGIApp:
    """Wrap the whole application; `fixed_headers` go out with every answer."""

    async def observed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 500
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (REQUEST_ID, request_id), *fixed_headers]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            try:
                await app(scope, receive, send_with_headers)
            finally:
                _record(scope, status=status, seconds=time.perf_counter() - started)

    return observed


def _request_id(scope: Scope) -> bytes:
    given = next((value for name, value in scope["headers"] if name == REQUEST_ID), b"")
    return given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex.encode()


def _record(scope: Scope, *, status: int, seconds: float) -> None:
    route = str(scope.get("path_template") or "unknown")  # the pattern, never the path: a label must have an end
    metrics.http_requests_total.labels(route, status).inc()
    metrics.http_request_seconds.labels(route).observe(seconds)
    if route in QUIET_ROUTES and status < HTTPStatus.BAD_REQUEST:
        return
    (log.warning if status >= HTTPStatus.INTERNAL_SERVER_ERROR else log.info)(
        "request",
        method=scope["method"],  # type: ignore[typeddict-item] # only http scopes come here
        path=scope["raw_path"].partition(b"?")[0][:SHOWN_BYTES].decode("latin-1"),  # a query may hold a token
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 2),
    )
