"""`GET /v1/images/<key>`: what a page needs to know of one picture."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import msgspec
from litestar import asgi

from proxy.http.problems import FOR_A_MINUTE, answer_error
from proxy.http.protocol.conditional import conditions
from proxy.http.protocol.raw_paths import path_below
from proxy.http.protocol.server_timing import start_timing
from proxy.keys.syntax import decode_path

if TYPE_CHECKING:
    from litestar import Request, Response
    from litestar.datastructures import State
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

    from proxy.derivatives.picture.lookups import Pictures
    from proxy.http.protocol.streaming import Headers

PATH = "/v1/images"
TEMPLATE = "/{key}"

CALLBACK = "callback_url"
"""The query parameter of DELETE."""

_ANY_ORIGIN = "*"


METHODS = ("GET", "HEAD", "DELETE")


def pictures_route(pictures: Pictures, *, has_cors: bool, take_down: ASGIApp) -> ASGIRouteHandler:
    """Return the route under `/v1/images`; it is mounted because of the keys, as `/img` is.

    `take_down` answers DELETE. Pages of any origin may read the other answers, errors too. With `has_cors`, the
    application adds the headers for that itself.
    """
    cors: Headers = [] if has_cors else [(b"access-control-allow-origin", _ANY_ORIGIN.encode())]

    def answer_public_error(request: Request[object, object, State], error: Exception) -> Response[bytes]:
        answer = answer_error(request, error)
        if not has_cors and request.method != "DELETE":
            answer.headers["Access-Control-Allow-Origin"] = _ANY_ORIGIN
        return answer

    @asgi(
        PATH,
        is_mount=True,
        copy_scope=False,
        exception_handlers={Exception: answer_public_error},
        parameters={"DELETE": (CALLBACK,)},
    )
    async def describe(scope: Scope, receive: Receive, send: Send) -> None:
        raw_key = path_below(PATH, scope, template=TEMPLATE, methods=METHODS)
        if scope["method"] == "DELETE":  # type: ignore[typeddict-item] # a mount of http requests
            await take_down(scope, receive, send)
            return
        key = decode_path(raw_key)
        body = msgspec.json.encode(await pictures.describe(key, start_timing(scope)))
        etag = hashlib.blake2b(body, digest_size=16).hexdigest()
        asked = conditions(cast("HTTPScope", scope))
        headers = [(b"etag", f'"{etag}"'.encode()), (b"cache-control", FOR_A_MINUTE.encode()), *cors]
        if asked.names(etag):
            status, body = HTTPStatus.NOT_MODIFIED.value, b""
        else:
            status = HTTPStatus.OK.value
            length = str(len(body)).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", length), *headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if asked.method == "HEAD" else body, "more_body": False})

    return describe
