"""Answers requests for remembered derivatives before the application: their bytes, or that they are unchanged."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from proxy import metrics
from proxy.concurrency.timings import Timings
from proxy.errors import ImagesError
from proxy.http.protocol.conditional import Conditions
from proxy.http.protocol.date import date
from proxy.http.protocol.middleware import count
from proxy.http.protocol.request_id import request_id_of
from proxy.http.protocol.streaming import BlobResponse
from proxy.http.routes import files, images

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.derivatives.recipe import Recipe
    from proxy.http.protocol.connection import Shortcut
    from proxy.http.protocol.streaming import Headers
    from proxy.stores.base import Blob
    from proxy.stores.remembered import RememberedBlob

_logger = logging.getLogger(__name__)

METHODS: Final = {b"GET": "GET", b"HEAD": "HEAD"}
UNUSUAL: Final = frozenset({b"if-match", b"if-unmodified-since", b"if-range", b"range"})
"""Headers of requests that are left to the application."""

_known = metrics.derivatives_total.labels("cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedRoute:
    """A route below which derivatives are served, and how it finds their keys."""

    path: str
    template: str
    key_of: Callable[[bytes], str]
    """Returns the key for the part of a path below the route; raises `ImagesError` if there is none."""
    cache_control: str = ""
    """The `Cache-Control` of blobs without one of their own."""
    counts_views: bool = False


def image_route(recipe: Recipe, *, cache_control: str) -> RememberedRoute:
    """Return the route of page views."""

    def key_of(below: bytes) -> str:
        return recipe.key(*images.key_and_size(below))

    return RememberedRoute(
        path=images.PATH, template=images.TEMPLATE, key_of=key_of, cache_control=cache_control, counts_views=True
    )


def file_route() -> RememberedRoute:
    """Return the route of the files of the store."""
    return RememberedRoute(path=files.PATH, template=files.TEMPLATE, key_of=files.key_of)


def remembered_shortcut(
    route: RememberedRoute,
    recall: Callable[[str], RememberedBlob | None],
    *,
    fixed_headers: Headers,
    has_cors: bool,
) -> Shortcut:
    """Return a function that answers requests for remembered blobs, with the same headers as the route.

    What it leaves to the route: with CORS enabled, requests that have an Origin header; requests for a part of a blob;
    and all requests while the log level is DEBUG, because it writes no log line.
    """
    begin = route.path.encode() + b"/"

    @lru_cache(images.SHORT_PATHS)
    def key_of(raw_path: bytes) -> str | None:
        try:
            return route.key_of(raw_path.removeprefix(begin))
        except ImagesError:
            return None  # the route reports what is wrong with it

    def answer(method: bytes, target: bytes, headers: Headers) -> tuple[bytes, bytes] | None:
        started = time.perf_counter()
        if not target.startswith(begin) or len(target) > images.SHORT_PATH_BYTES or b"#" in target:
            return None
        key = key_of(target.partition(b"?")[0])
        remembered = recall(key) if key else None
        chosen = _choose(remembered, _told(method, headers, has_cors=has_cors)) if remembered else None
        if remembered is None or chosen is None or _logger.isEnabledFor(logging.DEBUG):
            return None
        status, body = chosen
        head = remembered.heads.get((route.path, status))
        if head is None:
            head = remembered.heads[route.path, status] = _head(route, remembered.blob, status, fixed_headers)
        if route.counts_views:
            _known.inc()
        count(route.path + route.template, status, time.perf_counter() - started)
        return b"%sdate: %s\r\nx-request-id: %s\r\n\r\n" % (head, date(), request_id_of(headers)), body

    return answer


def _choose(remembered: RememberedBlob, told: Conditions | None) -> tuple[HTTPStatus, bytes] | None:
    """Return the status and the body of the response, or None if the application has to answer."""
    if told is None:
        return None
    if told.has(remembered.blob):
        return HTTPStatus.NOT_MODIFIED, b""
    if told.method == "HEAD":
        return HTTPStatus.OK, b""
    return None if remembered.body is None else (HTTPStatus.OK, remembered.body)


def _head(route: RememberedRoute, blob: Blob, status: HTTPStatus, fixed_headers: Headers) -> bytes:
    """Return the head of a response without the headers that differ each time."""
    response = BlobResponse(route.cache_control, Timings())
    headers = response.of(blob) if status is HTTPStatus.OK else response.of_unchanged(blob)
    lines = [b"%s: %s" % header for header in (*headers, *fixed_headers)]
    return b"\r\n".join([b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *lines, b""])


def _told(method: bytes, headers: Headers, *, has_cors: bool) -> Conditions | None:
    """Return the conditions of a request, or None if it is to be left to the application."""
    if method not in METHODS:
        return None
    if_none_match = if_modified_since = None
    for name, value in headers:
        if name in UNUSUAL or (has_cors and name == b"origin"):
            return None
        if name == b"if-none-match":
            before = f"{if_none_match}, " if if_none_match else ""
            if_none_match = before + value.decode("latin-1")
        elif name == b"if-modified-since":
            if if_modified_since is not None:
                return None
            if_modified_since = value.decode("latin-1")
    return Conditions(method=METHODS[method], if_none_match=if_none_match, if_modified_since=if_modified_since)
