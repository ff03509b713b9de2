"""`GET /files/<key>`: what lies in the file store, for sites without a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import asgi

from proxy.errors import NotFound
from proxy.keys import decode_path
from proxy.routes.mounts import path_below

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import Receive, Scope, Send

    from proxy.keys import Layout
    from proxy.stores.base import Blob, Store

PATH = "/files"

NO_SCRIPTS = b"default-src 'none'; sandbox"
"""A file that somebody put there may be a page; it must not run with this service's name (Content-Security-Policy)."""


def files_route(store: Store, *, layout: Layout) -> ASGIRouteHandler:
    """Give the route under `/files`: originals and derivatives, whatever else lies in the folder stays there."""

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def file(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's own signature
        key = decode_path(path_below(PATH, scope, template="/{key}"))
        if layout.original_of(key) is None:
            layout.check_original(key)
        if scope["method"] == "HEAD":  # type: ignore[typeddict-item] # a mount of http requests
            blob = await store.head(key)
            if blob is None:
                raise NotFound(f"There is nothing under {key!r}.")
            await send({"type": "http.response.start", "status": 200, "headers": _headers(blob)})
        else:
            async with store.open(key) as (blob, chunks):
                await send({"type": "http.response.start", "status": 200, "headers": _headers(blob)})
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return file


def _headers(blob: Blob) -> list[tuple[bytes, bytes]]:
    cache_control = blob.attributes.cache_control
    return [
        (b"content-type", blob.attributes.content_type.encode()),
        (b"content-length", str(blob.bytes).encode()),
        (b"content-security-policy", NO_SCRIPTS),
        (b"etag", f'"{blob.etag}"'.encode()),
        *([(b"cache-control", cache_control.encode())] if cache_control else []),
    ]
