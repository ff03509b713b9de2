"""What any redirect costs here: a bare ASGI application that answers every request with the same one.

python -m tests.benchmarks.redirect.peer PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import uvicorn
import uvloop

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

HEADERS = [
    (b"location", b"https://images.example.org/gall/58/58_1586986467_medium.jpg"),
    (b"cache-control", b"public, max-age=300"),
    (b"content-length", b"0"),
]


async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer."""
    await send({"type": "http.response.start", "status": 302, "headers": HEADERS, "trailers": False})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def serve(port: int) -> None:
    """Serve with the same settings of uvicorn as the service."""
    config = uvicorn.Config(
        app, port=port, lifespan="off", log_config=None, access_log=False, server_header=False, log_level="warning"
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
