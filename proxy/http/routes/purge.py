"""`DELETE /v1/derivatives/<key>`: deletes every derivative of an original."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec
from litestar import asgi
from litestar.datastructures import Headers

from proxy.http.protocol.raw_paths import path_below
from proxy.http.protocol.server_timing import start_timing
from proxy.http.protocol.signed_address import signed_addresses
from proxy.keys.syntax import decode_path
from proxy.webhooks.signature import ID_HEADER

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import HTTPScope, Receive, Scope, Send

    from proxy.derivatives.service import DerivativeService
    from proxy.webhooks.handled import HandledMessages
    from proxy.webhooks.signature import Verifier

PATH = "/v1/derivatives"

HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """The key of the original, which is kept, and the keys of its derivatives, none of which exists any longer.

    `existed` are those that existed before; None if the store cannot be read.
    """

    key: str
    deleted: tuple[str, ...]
    existed: tuple[str, ...] | None


def purge_route(
    derivatives: DerivativeService, *, verifier: Verifier, handled: HandledMessages, base_path: str = ""
) -> ASGIRouteHandler:
    """Return the route under `/v1/derivatives`; it is mounted because of the keys, as `/img` is."""

    async def purge_now(key: str) -> str:
        purged = await derivatives.purge(key)
        return msgspec.json.encode(Purged(key=key, deleted=purged.keys, existed=purged.existed)).decode()

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def purge(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's own signature
        raw_key = path_below(PATH, scope, template="/{key}", methods=("DELETE",))
        addresses = signed_addresses(cast("HTTPScope", scope), base_path)
        sent = Headers.from_scope(scope)
        verifier.verify_address(addresses, sent)
        key = decode_path(raw_key)
        with start_timing(scope).measure_store():
            purged = await handled.once(sent.get(ID_HEADER), what=f"purge {key}", act=partial(purge_now, key))
        body = purged.encode()
        headers = [*HEADERS, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return purge
