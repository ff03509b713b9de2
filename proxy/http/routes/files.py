"""`GET /files/<key>`: the blobs of the store, for sites without a public bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import asgi

from proxy.errors import BadKey
from proxy.http.protocol.raw_paths import path_below
from proxy.http.protocol.streaming import Exchange
from proxy.keys.syntax import check_key, decode_path, shown

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import Receive, Scope, Send

    from proxy.derivatives.reader import BlobReader
    from proxy.keys.layouts import Layout

PATH = "/files"
TEMPLATE = "/{key}"

key_of = decode_path
"""Returns the key that a path below `PATH` stands for; raises `BadKey` if there is none."""


def files_route(reader: BlobReader, *, layout: Layout) -> ASGIRouteHandler:
    """Return the route under `/files`, which serves only originals and derivatives."""

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def file(scope: Scope, receive: Receive, send: Send) -> None:
        key = key_of(path_below(PATH, scope, template=TEMPLATE))
        if layout.original_of(key) is None:
            _check_original(key, layout)
        await Exchange(scope, receive, send).answer(reader, key)

    return file


def _check_original(key: str, layout: Layout) -> None:
    try:
        layout.check_original(key)
    except BadKey:
        check_key(key)  # its message is more precise
        raise BadKey(f"The key {shown(key)} is neither that of an original nor of a derivative.") from None
