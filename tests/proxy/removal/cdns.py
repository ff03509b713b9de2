"""A CDN on loopback that keeps what it has read of a store, until it is purged, and its purger."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from proxy.errors import CdnPurgeFailed, CdnPurgeRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class CachingServer(ThreadingHTTPServer):
    """A cache that keeps a file for ever, and asks `read` for what it does not keep."""

    daemon_threads = True

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Get)
        self.read = read
        self.kept: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fetch(self, key: str) -> bytes | None:
        if key not in self.kept and (body := self.read(key)) is not None:
            self.kept[key] = body
        return self.kept.get(key)


class _Get(BaseHTTPRequestHandler):
    server: CachingServer

    def do_GET(self) -> None:
        body = self.server.fetch(unquote(self.path.removeprefix("/")))
        self.send_response(404 if body is None else 200)
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def do_PURGE(self) -> None:
        self.server.kept.pop(unquote(self.path.removeprefix("/")), None)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def caching(read: Callable[[str], bytes | None]) -> Iterator[CachingServer]:
    """Run a CDN within the block."""
    with CachingServer(read) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass
class CachePurger:
    """Purges a `CachingServer`."""

    server: CachingServer
    refused: str = ""
    """The permission that is missing."""
    failures: int = 0
    """How many purges fail from now on."""
    purged: list[str] = field(default_factory=list)

    async def purge(self, urls: Sequence[str]) -> None:
        await self.check()
        if self.failures:
            self.failures -= 1
            raise CdnPurgeFailed("The CDN is busy.")
        for url in urls:
            self.purged.append(url)
            self.server.kept.pop(unquote(urlsplit(url).path.removeprefix("/")), None)

    async def check(self) -> None:
        if self.refused:
            raise CdnPurgeRefused(f"The credentials lack {self.refused}.")
