"""Bounded HTTP/1.1 connections: what one client may send, how slowly, and how many clients at once.

uvicorn reads requests with httptools, which bounds neither the bytes nor the number of header lines, and never closes a
connection whose request does not come to its end. `BoundedProtocol` is uvicorn's protocol with these bounds; it costs
about 2 microseconds a request.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from proxy import metrics
from proxy.http.protocol.connections import LINGER_SECONDS
from proxy.http.protocol.rejections import (
    ADDRESS_TOO_LONG,
    BAD_TRANSFER_ENCODING,
    HEAD_TOO_LARGE,
    KIBIBYTE,
    MAX_ADDRESS_BYTES,
    MAX_HEAD_BYTES,
    SEVERAL_HOSTS,
    Rejected,
    Rejection,
    problem,
    rejection_for,
)
from proxy.http.protocol.request_id import new_request_id

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, Scope
    from uvicorn.config import Config
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

    from proxy.http.protocol.connections import Connections

log = structlog.get_logger(__name__)

HEAD_SECONDS: Final = 10.0
"""How long a client may take to send a request's head, from the connection or from the end of the last response."""

BODY_SECONDS: Final = 30.0
"""How long a client may send nothing in the middle of a body."""

LINGER_BYTES: Final = 1 << 20
"""How much is dropped so after a rejection."""

DEFERRED_BYTES: Final = 64 * KIBIBYTE
"""A body up to this is complete before the application starts; larger ones are read while they arrive."""

HEAD_END: Final = b"\r\n\r\n"

BODY_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding", b"expect"})
"""Headers of a request that has a body, or asks whether to send one."""

STREAMED_METHOD: Final = b"PUT"
"""The method of requests whose body the application reads while it arrives, from the first byte."""

WINDOW_BYTES: Final = 64 * KIBIBYTE
"""The kernel's buffer of a body that is streamed, which would grow to megabytes while the application does not read.

Linux doubles the number, and one read returns at most 100 KB of it. A client 50 ms away sends 2 MB a second.
"""

Shortcut = Callable[[bytes, bytes, list[tuple[bytes, bytes]]], tuple[bytes, bytes] | None]
"""Returns the head and the body of the response to a request without a body, given its method, target and headers; or
None, to let the application answer."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, bounded in bytes and time."""

    def __init__(
        self,
        connections: Connections,
        shortcut: Shortcut | None,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._registry = connections
        self._shortcut = shortcut
        self.held_bytes = 0
        self.last_seen = 0.0
        self.deadline = float("inf")
        """When the client must have sent more (the loop's clock)."""
        self._had_request = False
        self._has_cycle = False
        """Whether a request has reached the application, so that `cycle` is not None."""
        self._took_shortcut = False
        self._deferred: tuple[RequestResponseCycle, ASGI3Application] | None = None
        """A request whose body is still small and unfinished: the application starts when there is something to do."""
        self._in_head = True
        self._in_body = False
        self._is_streamed = False
        """Whether the application reads the body of this request while it arrives."""
        self._head_bytes = 0
        self._body_bytes = 0
        self._hosts = 0
        self._transfer_encodings: list[bytes] = []
        self._is_rejected = False
        self._dropped_bytes = 0
        self._unread = b""
        """What came behind a request that is not answered yet; parsed after that."""
        self._unframed_bytes = 0
        """Bytes of a body's framing (chunk extensions, trailers) since the last chunk."""

    @property
    def is_answering(self) -> bool:
        """Whether a response is due to the client."""
        return self._has_cycle and not self.cycle.response_complete and not self._in_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Admit the connection and await its first head."""
        super().connection_made(transport)
        self._await_client(HEAD_SECONDS)
        self._registry.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what the connection held."""
        self._registry.remove(self)
        super().connection_lost(exc)
        self._unread = b""
        if self._deferred:  # the application finds that the client has left, and logs the request
            self._start_deferred()

    def data_received(self, data: bytes) -> None:
        """Parse what came, one request at a time."""
        if self._is_rejected:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > LINGER_BYTES:
                self.transport.abort()
        elif self._unread:
            self._keep_unread(data)
        elif not self.transport.is_closing():
            self._parse(data)

    def on_response_complete(self) -> None:
        """Start the next request of the connection, or await it; as uvicorn's own, without its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._in_body:
            self._await_client(LINGER_SECONDS)
        elif self._unread:
            rest, self._unread = self._unread, b""
            self._parse(rest)
        else:
            self._await_client(self._registry.idle_seconds)

    def expire(self) -> None:
        """Close a connection whose client did not send, or did not read the end of a response, in time."""
        if self.transport.is_closing():
            self.transport.abort()
            return
        if self._in_body and self.flow.read_paused:  # it is the application that does not read
            self._await_client(BODY_SECONDS)
            return
        is_idle = self._in_head and not self._head_bytes and self._had_request
        self.abort("idle" if is_idle else "head-timeout" if self._in_head else "body-timeout")

    def abort(self, reason: str) -> None:
        """Close the connection now."""
        if self._deferred:  # it will never run, and the two objects refer to each other
            self._deferred = None
            self.cycle.body, self.cycle.on_response = bytearray(), lambda: None
        metrics.http_connections_closed_total.labels(reason).inc()
        self._registry.remove(self)
        if self.transport.get_write_buffer_size():  # `close` would wait for a client that does not read
            self.transport.abort()
        else:
            self.transport.close()

    def _parse(self, data: bytes) -> None:
        """Feed the parser up to the end of a head at a time, so that it never runs ahead of the responses."""
        start = 0
        while start < len(data):
            found = data.find(HEAD_END, start)
            end = found + len(HEAD_END) if found >= 0 else len(data)
            if not self._feed(data if start == 0 and end == len(data) else data[start:end]):
                return
            start = end
            if start < len(data) and self.is_answering:
                self._keep_unread(data[start:])
                return
        self._note_progress()

    def _feed(self, data: bytes) -> bool:
        """Parse some bytes; return False where the connection is refused."""
        if self._in_head:
            self._head_bytes += len(data)
        elif self._in_body:
            self._unframed_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._unsupported_upgrade_warning()
        except httptools.HttpParserError as error:
            self._reject(rejection_for(error))
            return False
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._reject(HEAD_TOO_LARGE if self.url else ADDRESS_TOO_LONG)
            return False
        if self._in_body and self._unframed_bytes > MAX_HEAD_BYTES:
            self._reject(HEAD_TOO_LARGE)
            return False
        return True

    def _note_progress(self) -> None:
        """Set the next deadline, and record what an unfinished request holds."""
        held = 0
        if self._in_body:
            self._await_client(LINGER_SECONDS if self.cycle.response_complete else BODY_SECONDS)
            body = len(self.cycle.body) if self._is_streamed else self._body_bytes
            held = 0 if self.cycle.response_complete else body + self._unframed_bytes
        elif self.is_answering:
            self.deadline = float("inf")
        elif self._head_bytes:  # its deadline stays: a head that comes byte by byte has no more time
            held = self._head_bytes
            if not self.held_bytes:
                self._await_client(HEAD_SECONDS)
            self.last_seen = self.loop.time()
        else:
            self._await_client(self._registry.idle_seconds)
        if held != self.held_bytes:
            self._registry.hold(self, held)

    def _await_client(self, seconds: float) -> None:
        self.last_seen = self.loop.time()
        self.deadline = self.last_seen + seconds

    def _keep_unread(self, data: bytes) -> None:
        self._unread += data
        self.flow.pause_reading()

    def _reject(self, rejection: Rejection) -> None:
        """Answer without the application, and close: where the next request begins is unknown."""
        request_id = new_request_id()
        metrics.http_connections_closed_total.labels(rejection.reason).inc()
        metrics.http_requests_total.labels("unknown", int(rejection.status)).inc()
        log.info(
            "request_refused",
            status=int(rejection.status),
            code=rejection.reason,
            detail=rejection.detail,
            request_id=request_id.decode(),
            client=self.client[0] if self.client else "",
        )
        if self._has_cycle and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()  # in the middle of a response there is no place for another
            return
        self.transport.write(problem(rejection, request_id))
        self.transport.write_eof()
        self._is_rejected = True  # to close while the client sends would reset the connection, and lose the answer
        self._registry.hold(self, 0)
        self._await_client(LINGER_SECONDS)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Start the application, but not before a small body is complete: a client that stalls would hold it too."""
        if self._is_streamed:
            super()._start_asgi_task(cycle, self._reading_slowly(app))
        elif cycle is self.cycle and self._in_body and not self.expect_100_continue:
            self._deferred = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def _begin_stream(self) -> None:
        """Read no more of the body until the application asks, and let the kernel hold little of it meanwhile."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)
        self.flow.pause_reading()

    def _reading_slowly(self, app: ASGI3Application) -> ASGI3Application:
        """Return an application whose reads give the client time to send, and release what they return."""

        async def reading(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            async def receive_part() -> ASGIReceiveEvent:
                if self._in_body:
                    self._await_client(BODY_SECONDS)
                part = await receive()
                self._registry.hold(self, 0)
                return part

            await app(scope, receive_part, send)

        return reading

    def _start_deferred(self) -> None:
        if self._deferred:
            (cycle, app), self._deferred = self._deferred, None
            super()._start_asgi_task(cycle, app)

    # Callbacks of the parser. What they raise ends the parsing as an HttpParserCallbackError.

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._hosts = 0
        self._transfer_encodings.clear()

    def on_url(self, url: bytes) -> None:
        """Bound the request target."""
        super().on_url(url)
        if len(self.url) > MAX_ADDRESS_BYTES:
            raise Rejected(ADDRESS_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Check the lines that decide where a message ends and for whom it is; bound trailers."""
        super().on_header(name, value)
        size = len(name)
        if size == 4 and name.lower() == b"host":  # noqa: PLR2004 - cheaper than to lower every name
            self._hosts += 1
        elif size == 17 and name.lower() == b"transfer-encoding":  # noqa: PLR2004 - the same
            self._transfer_encodings.append(value.strip().lower())
        if self._in_body:
            self._head_bytes += size + len(value) + 4
            self._unframed_bytes = 0
            if self._head_bytes > MAX_HEAD_BYTES:
                raise Rejected(HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Start the request, if its head is sound."""
        if self._head_bytes > MAX_HEAD_BYTES:
            raise Rejected(HEAD_TOO_LARGE)
        if self._hosts > 1:
            raise Rejected(SEVERAL_HOSTS)
        if self._transfer_encodings and self._transfer_encodings != [b"chunked"]:
            raise Rejected(BAD_TRANSFER_ENCODING)
        self._had_request, self._in_head, self._in_body = True, False, True
        self._body_bytes = self._unframed_bytes = 0
        self._is_streamed = self.parser.get_method() == STREAMED_METHOD
        if self._is_streamed:
            self._begin_stream()
        self._took_shortcut = self._shortcut is not None and self._answer_at_once(self._shortcut)
        if not self._took_shortcut:
            super().on_headers_complete()
            self._has_cycle = True

    def _answer_at_once(self, shortcut: Shortcut) -> bool:
        """Write the response of the shortcut, unless the request or the connection is out of the ordinary."""
        parser = self.parser
        is_free = not self._has_cycle or self.cycle.response_complete
        if not is_free or self.flow.write_paused or parser.should_upgrade() or not parser.should_keep_alive():
            return False
        if parser.get_http_version() != "1.1" or any(name in BODY_HEADERS for name, _ in self.headers):
            return False
        if self._registry.has_many_unread():
            return False
        response = shortcut(parser.get_method(), self.url, self.headers)
        if response is None:
            return False
        head, body = response
        if body:
            self.transport.writelines((head, body))  # not joined: all clients share the bytes of the body
            self._registry.note_unread(self)
        else:
            self.transport.write(head)
        return True

    def on_body(self, body: bytes) -> None:
        """Count the bytes of a body that arrived."""
        self._body_bytes += len(body)
        self._unframed_bytes = 0
        super().on_body(body)
        if self._is_streamed and not self.cycle.response_complete:
            self.flow.pause_reading()
        if self._deferred and self._body_bytes > DEFERRED_BYTES:
            self._start_deferred()

    def on_chunk_header(self) -> None:
        """Note that a chunk begins: its framing so far is spent."""
        self._unframed_bytes = 0

    def on_message_complete(self) -> None:
        """End the request; the next head may begin."""
        self._in_head, self._in_body = True, False
        self._head_bytes = 0
        if not self._took_shortcut:
            super().on_message_complete()
            self._start_deferred()
