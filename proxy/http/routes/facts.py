"""`GET /v1/facts/<key>`: the facts in the metadata of an original, for signed requests only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec
from litestar import asgi
from litestar.datastructures import Headers

from proxy.errors import BadSignature
from proxy.http.protocol.raw_paths import READING, path_below
from proxy.http.protocol.server_timing import start_timing
from proxy.http.protocol.signed_address import signed_addresses
from proxy.keys.syntax import decode_path

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import HTTPScope, Receive, Scope, Send

    from proxy.facts.reader import FactsReader
    from proxy.webhooks.signature import Verifier

PATH: Final = "/v1/facts"

HEADERS: Final = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]

UNSIGNED: Final = (
    "Facts may have the place where a photograph was taken, so they are given to signed requests only. Set "
    "WEBHOOK_SECRETS, and sign the method and the path, as standardwebhooks.com describes."
)


def facts_route(reader: FactsReader, *, verifier: Verifier, base_path: str = "") -> ASGIRouteHandler:
    """Return the route under `/v1/facts`; it is mounted because of the keys, as `/img` is."""

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def facts(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's own signature
        raw_key = path_below(PATH, scope, template="/{key}", methods=READING)
        if verifier.is_open:
            raise BadSignature(UNSIGNED)
        verifier.verify_address(signed_addresses(cast("HTTPScope", scope), base_path), Headers.from_scope(scope))
        found = await reader.read(decode_path(raw_key), start_timing(scope))
        body = msgspec.json.encode(found)
        headers = [*HEADERS, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        sent = b"" if cast("HTTPScope", scope)["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": sent, "more_body": False})

    return facts
