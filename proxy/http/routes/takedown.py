"""`DELETE /v1/images/<key>`: takes a picture down."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl

import msgspec
from litestar.datastructures import Headers

from proxy.http.protocol.raw_paths import path_below
from proxy.http.protocol.signed_address import signed_addresses
from proxy.http.routes.pictures import CALLBACK, METHODS, PATH, TEMPLATE
from proxy.keys.syntax import decode_path
from proxy.webhooks.signature import ID_HEADER

if TYPE_CHECKING:
    from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

    from proxy.removal.takedowns import Takedowns
    from proxy.webhooks.signature import Verifier


def takedown_app(takedowns: Takedowns, *, verifier: Verifier, base_path: str = "") -> ASGIApp:
    """Return what answers a DELETE below `PATH`: `202` with the job of the takedown."""

    async def take_down(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's own signature
        raw_key = path_below(PATH, scope, template=TEMPLATE, methods=METHODS)
        asked, sent = cast("HTTPScope", scope), Headers.from_scope(scope)
        verifier.verify_address(signed_addresses(asked, base_path), sent)
        job = await takedowns.request(
            decode_path(raw_key),
            callback_url=dict(parse_qsl(asked["query_string"].decode("latin-1"))).get(CALLBACK, ""),
            message_id=sent.get(ID_HEADER),
            signed_at=verifier.signed_at(sent),
        )
        body = msgspec.json.encode(job)
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"location", f"{base_path}/v1/jobs/{job.id}".encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return take_down
