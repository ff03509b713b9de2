"""`/stored/<key>`: the files of the store, for the pages alone: browsers need not reach the bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar import asgi

from proxy.errors import BadKey
from proxy.http.protocol.raw_paths import path_below
from proxy.http.protocol.streaming import Exchange
from proxy.keys.layouts import is_original
from proxy.keys.syntax import decode_path, shown

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import Message, Receive, Scope, Send

    from proxy.ui.parts import Parts

PATH: Final = "/stored"
TEMPLATE: Final = "/{key}"

FOR_A_DAY: Final = b"private, max-age=86400, immutable"
"""The address has the version of the file."""

REVALIDATED: Final = b"private, no-cache"


def stored_mount(parts: Parts) -> ASGIRouteHandler:
    """Return the route under `/stored`, which sends originals and derivatives, and nothing else."""
    layout = parts.derivatives.recipe.layout

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def stored(scope: Scope, receive: Receive, send: Send) -> None:
        key = decode_path(path_below(PATH, scope, template=TEMPLATE))
        if layout.original_of(key) is None and not is_original(layout, key):
            raise BadKey(f"The key {shown(key)} is neither that of an original nor of a derivative.")
        kept = FOR_A_DAY if scope["query_string"].startswith(b"v=") else REVALIDATED

        async def send_privately(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [one for one in message["headers"] if one[0].lower() != b"cache-control"]
                message["headers"] = [*others, (b"cache-control", kept)]
            await send(message)

        await Exchange(scope, receive, send_privately).answer(parts.reader, key)

    return stored
