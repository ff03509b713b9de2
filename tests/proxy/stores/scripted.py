"""An HTTP server on loopback with scripted responses."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from tests.proxy.stores.fault_proxy import Seen, parsed

if TYPE_CHECKING:
    import ssl
    from types import TracebackType


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return an HTTP response; `_` in a header's name becomes `-`, and headers with an empty value are omitted."""
    told = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value)
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode("latin-1") + body


def refusal(status: int, code: str, message: str = "on purpose") -> bytes:
    """Return an error response in S3's format."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return answer(status, body.encode(), Content_Type="application/xml")


class Scripted:
    """A server that sends `answers` in order, one per request, and then repeats the last one; with `tls`, by HTTPS."""

    def __init__(self, *answers: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.answers = answers
        self._tls = tls
        self.seen: list[Seen] = []
        """All requests so far."""

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """Return the port of the server."""
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, EOFError):
            seen = parsed(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(int(seen.headers.get("content-length", 0)))
            answer = self.answers[min(len(self.seen), len(self.answers) - 1)]
            self.seen.append(seen)
            head, end, body = answer.partition(b"\r\n\r\n")
            writer.write(head + b"\r\nConnection: close" + end + (b"" if seen.method == "HEAD" else body))
            await writer.drain()
        writer.close()
