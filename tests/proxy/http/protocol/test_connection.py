"""What one client may send, how slowly, and how many clients at once."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
import uvicorn

from proxy import metrics
from proxy.cli.serve import Server
from proxy.http.protocol import connection, connections
from proxy.http.protocol.connection import BoundedProtocol
from proxy.http.protocol.connections import Connections
from proxy.http.protocol.rejections import MAX_ADDRESS_BYTES, MAX_HEAD_BYTES
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from litestar.types import Receive, Scope, Send

    from proxy.http.protocol.connection import Shortcut

pytestmark = pytest.mark.anyio

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


async def holds(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""

    async def check() -> bool:
        return condition()

    await until(check)


@dataclass
class App:
    """An application that answers with the body's length, and counts."""

    paths: list[str] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    may_read: asyncio.Event = field(default_factory=asyncio.Event)
    reads_body: bool = True
    left: int = 0
    """How many clients left before the end of their body."""

    def __post_init__(self) -> None:
        self.may_read.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        size, more = 0, self.reads_body
        await self.may_read.wait()
        while more:
            message = cast("dict[str, object]", await receive())
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            size += len(cast("bytes", message["body"]))
            more = bool(message["more_body"])
        await self.may_answer.wait()
        body = b"%d" % size
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


@dataclass
class Running:
    """A server with the bounds under test."""

    app: App
    port: int
    connections: Connections
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self.clients:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes, then read until the server closes."""
        reader, writer = await self.connect()
        writer.write(data)
        async with asyncio.timeout(20):
            return await reader.read()


@asynccontextmanager
async def serving(
    *, most: int = 100, idle_seconds: float = 60.0, answers: bool = True, shortcut: Shortcut | None = None
) -> AsyncIterator[Running]:
    app, opened = App(), Connections(most=most, idle_seconds=idle_seconds)
    if answers:
        app.may_answer.set()
    config = uvicorn.Config(
        app,
        http=partial(BoundedProtocol, opened, shortcut),  # type: ignore[arg-type] # called as the class would be
        lifespan="off",
        log_config=None,
        ws="none",
        server_header=False,
        date_header=False,
    )
    server = Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving_task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await holds(lambda: server.started)
            running = Running(app, listener.getsockname()[1], opened)
            try:
                yield running
            finally:
                await running.close()
        finally:
            app.may_answer.set()
            server.force_exit = True
            server.leave()
            await serving_task


def closed(reason: str) -> float:
    return float(metrics.http_connections_closed_total.labels(reason)._value.get())  # noqa: SLF001 - the library tells it nowhere else


def problem(answer: bytes) -> tuple[int, dict[str, object], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), msgspec.json.decode(body), head.lower()


@pytest.mark.parametrize(
    ("request_head", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * (MAX_HEAD_BYTES // 8 + 1), 431, "head-too-large"),
        (b"GET /" + b"a" * MAX_ADDRESS_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "address-too-long"),
        (b"GET /" + b"a" * (1 << 20), 414, "address-too-long"),
        ("GET /é HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400, "bad-address"),
        (b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n", 501, "unknown-method"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "several-hosts"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n", 400, "malformed-request"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
            400,
            "transfer-encoding",
        ),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "transfer-encoding"),
        (b"hello\n\n", 501, "unknown-method"),
    ],
)
async def test_what_is_refused_is_a_problem_with_an_id_and_a_series(
    request_head: bytes, status: int, reason: str
) -> None:
    before = closed(reason)
    async with serving() as running:
        answered, body, head = problem(await running.exchange(request_head))
    assert (answered, body["status"], body["type"]) == (status, status, f"/problems/{reason}")
    assert b"application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head
    assert f"x-request-id: {body['request_id']}".encode() in head
    assert body["detail"]
    assert closed(reason) == before + 1
    assert running.app.paths == []


async def test_a_head_just_within_the_bound_is_served() -> None:
    line = b"X-A: " + b"a" * (MAX_HEAD_BYTES - 100) + b"\r\n"
    async with serving() as running:
        answer = await running.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + line + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "piece",
    [b"X-A: " + b"a" * 65_536, b"X-A: b\r\n" * 4096, b"a" * 65_536],
    ids=["one endless value", "endless lines", "endless bytes"],
)
@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
    ids=["head", "chunk extension", "trailers"],
)
async def test_endless_framing_is_cut_off_and_holds_little(start: bytes, piece: bytes) -> None:
    async with serving() as running:
        _, writer = await running.connect()
        writer.write(start)
        sent = 0
        with suppress(ConnectionError):
            while sent < 64 << 20:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                assert sum(one.held_bytes for one in running.connections.open) <= MAX_HEAD_BYTES
        assert sent < 64 << 20
        await holds(lambda: len(running.connections) == 0)


async def test_pipelined_requests_are_answered_in_order_and_read_no_further_than_that() -> None:
    async with serving(answers=False) as running:
        reader, writer = await running.connect()
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(200)))
        await holds(lambda: bool(running.app.paths))
        assert len(running.app.paths) == 1
        running.app.may_answer.set()
        answers = await reader.readexactly(200 * len(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n0"))
        assert answers.count(b"HTTP/1.1 200") == 200
        assert running.app.paths == [f"/{number}" for number in range(200)]


async def test_a_body_and_the_next_request_in_one_packet_are_both_served() -> None:
    post = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab\r\nc"
    chunked = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n"
    last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving() as running:
        answers = await running.exchange(post + chunked + post + last)
    assert running.app.paths == ["/p", "/c", "/p", "/last"]
    assert [answer[-1:] for answer in answers.split(b"HTTP/1.1 200 OK")[1:]] == [b"5", b"4", b"5", b"0"]


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_a_request_that_comes_in_pieces_is_served(size: int) -> None:
    request = (
        b"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    async with serving() as running:
        reader, writer = await running.connect()
        for start in range(0, len(request), size):
            writer.write(request[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.read()).endswith(b"\r\n\r\n3")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "head-timeout"),
        (b"GET / HT", "head-timeout"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na", "body-timeout"),
    ],
)
async def test_a_client_that_stops_sending_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes, reason: str) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    before = closed(reason)
    async with serving() as running:
        assert await running.exchange(sent) == b""
    assert closed(reason) == before + 1


def at_once(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes] | None:
    """Answer what is known, in a server that has a shortcut."""
    if not target.startswith(b"/known"):
        return None
    body = b"%s %d" % (method, len(headers))
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body), body


LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def test_a_shortcut_answers_without_the_application_and_in_order() -> None:
    known = b"GET /known HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(shortcut=at_once) as running:
        said = await running.exchange(known + known + GET + known + LAST)
        assert running.app.paths == ["/a", "/last"]
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK\r\n")[1:]]
        assert bodies == [b"GET 1", b"GET 1", b"0", b"GET 1", b"0"]


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /known HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET /known HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /known HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab" + LAST,
        b"GET /known HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + LAST,
        b"GET /known HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + LAST,
    ],
)
async def test_an_unusual_request_goes_to_the_application_also_with_a_shortcut(request_head: bytes) -> None:
    async with serving(shortcut=at_once) as running:
        assert (await running.exchange(request_head)).startswith(b"HTTP/1.1 200")
        assert running.app.paths[0] == "/known"


def large(*_: object) -> tuple[bytes, bytes]:
    return b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", bytes(1_000_000)


async def test_a_client_that_does_not_read_gets_no_more_by_a_shortcut_than_the_buffers_hold() -> None:
    known = b"GET /known HTTP/1.1\r\nHost: x\r\n\r\n"

    async with serving(shortcut=large, answers=False) as running:
        _, writer = await running.connect()
        writer.write(known * 1000)
        await holds(lambda: bool(running.app.paths))  # what was not written at once waits for the application


async def test_only_so_many_clients_may_leave_unread_what_a_shortcut_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_UNREAD", 2)
    known = b"GET /known HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(shortcut=large, answers=False) as running:
        for _ in range(2):
            _, writer = await running.connect()
            writer.write(known * 1000)
        await holds(lambda: len(running.app.paths) == 2)
        _, writer = await running.connect()
        writer.write(known)
        await holds(lambda: len(running.app.paths) == 3)
        await running.close()
        assert not running.connections.has_many_unread()


async def test_memory_is_released_once_most_of_many_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(connections, "MANY", 10)
    released: list[int] = []
    async with serving() as running:
        monkeypatch.setattr(connections, "release_memory", lambda: released.append(len(running.connections)))
        for _ in range(20):
            await running.connect()
        await holds(lambda: len(running.connections) == 20)
        assert not released
        await running.close()
        await holds(lambda: bool(released))
    assert released == [0]


async def test_a_head_that_comes_byte_by_byte_has_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    async with serving() as running:
        _, writer = await running.connect()

        async def is_closed_now() -> bool:
            writer.write(b"G" if len(running.connections) else b"")
            return len(running.connections) == 0

        writer.write(b"GET /")
        await holds(lambda: len(running.connections) == 1)
        await until(is_closed_now)


async def test_a_kept_connection_is_closed_once_it_was_idle_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    before = closed("idle")
    async with serving(idle_seconds=0.2) as running:
        assert (await running.exchange(GET)).startswith(b"HTTP/1.1 200")
    assert closed("idle") == before + 1


async def test_a_slow_application_is_no_idle_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.02)
    async with serving(idle_seconds=0.1, answers=False) as running:
        reader, writer = await running.connect()
        writer.write(GET)
        await holds(lambda: bool(running.app.paths))
        other_reader, _ = await running.connect()
        await other_reader.read()  # closed for its silence, so the first had the same time
        running.app.may_answer.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_past_the_most_the_connection_that_was_silent_longest_goes_and_new_ones_are_served() -> None:
    async with serving(most=5) as running:
        silent = [await running.connect() for _ in range(5)]
        await holds(lambda: len(running.connections) == 5)
        silent[0][1].write(b"GET /slow HTTP/1.1\r\nHost: x\r\n")  # it is heard of last, so another goes
        await holds(lambda: any(one.held_bytes for one in running.connections.open))
        reader, writer = await running.connect()
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert await silent[1][0].read() == b""
        silent[0][1].write(b"\r\n")
        assert (await silent[0][0].readline()).startswith(b"HTTP/1.1 200")


async def test_a_response_that_is_due_is_not_cut_off_for_a_silent_client() -> None:
    async with serving(most=2, answers=False) as running:
        reader, writer = await running.connect()
        writer.write(GET)
        await holds(lambda: bool(running.app.paths))
        for _ in range(3):
            await running.connect()
        await holds(lambda: len(running.connections) == 2)
        running.app.may_answer.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_unfinished_bodies_of_all_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_HELD_BYTES", 100_000)
    half = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"a" * 30_000
    async with serving() as running:
        clients = [await running.connect() for _ in range(10)]
        for _, writer in clients:
            writer.write(half)
        await holds(lambda: len(running.connections) == 3)
        assert sum(one.held_bytes for one in running.connections.open) <= 100_000


async def test_the_rest_of_a_body_that_nobody_reads_is_dropped_and_the_response_arrives() -> None:
    async with serving() as running:
        running.app.reads_body = False
        reader, writer = await running.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 500_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.write(b"a" * 500_000 + GET)
        await reader.readuntil(b"\r\n\r\n0")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert running.app.paths == ["/", "/a"]


def put(size: int) -> bytes:
    return b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size


async def test_a_put_is_read_while_it_arrives_and_holds_little_at_any_moment() -> None:
    """The body is larger than what all connections together may hold."""
    size = 4 * connections.MAX_HELD_BYTES
    held = []
    async with serving() as running:
        clients = [await running.connect() for _ in range(8)]

        async def send(writer: asyncio.StreamWriter) -> None:
            writer.write(put(size))
            for _ in range(size // LARGE):
                writer.write(bytes(LARGE))
                await writer.drain()
                held.append(sum(one.held_bytes for one in running.connections.open))

        await asyncio.gather(*(send(writer) for _, writer in clients))
        for reader, _ in clients:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await reader.readuntil(b"\r\n\r\n%d" % size)
    assert max(held) <= connections.MAX_HELD_BYTES // 2


LARGE = 1 << 20


async def test_a_put_that_the_application_does_not_read_is_held_back_and_not_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    async with serving() as running:
        running.app.may_read.clear()
        reader, writer = await running.connect()
        writer.write(put(64 * LARGE))
        sending = asyncio.create_task(send_all(writer, 64 * LARGE))
        await asyncio.sleep(0.5)  # the limit is about a duration in which nothing happens
        assert not sending.done()
        (one,) = running.connections.open
        assert one.held_bytes <= 4 * connection.WINDOW_BYTES
        running.app.may_read.set()
        await sending
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def send_all(writer: asyncio.StreamWriter, size: int) -> None:
    for _ in range(size // LARGE):
        writer.write(bytes(LARGE))
        await writer.drain()


async def test_a_put_that_stalls_is_closed_and_the_application_learns_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    before = closed("body-timeout")
    async with serving() as running:
        assert await running.exchange(put(100_000) + bytes(70_000)) == b""
        await holds(lambda: running.app.left == 1)
    assert closed("body-timeout") == before + 1


@pytest.mark.parametrize("reads_body", [True, False])
async def test_a_put_and_the_next_request_on_its_connection_are_both_served(*, reads_body: bool) -> None:
    async with serving() as running:
        running.app.reads_body = reads_body
        answer = await running.exchange(put(300_000) + bytes(300_000) + LAST)
        assert answer.count(b"HTTP/1.1 200") == 2
        assert running.app.paths == ["/", "/last"]


async def test_a_put_that_waits_for_leave_to_send_gets_it_when_it_is_read() -> None:
    async with serving() as running:
        reader, writer = await running.connect()
        writer.write(put(5).replace(b"Host", b"Expect: 100-continue\r\nHost"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 100")
        writer.write(b"hello")
        await reader.readuntil(b"HTTP/1.1 200")
