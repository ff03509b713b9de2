"""The webhook client, on real connections over loopback."""

from __future__ import annotations

import asyncio
import math
import ssl
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from loadtest.servers.receiver import receiving
from loadtest.servers.service import SECRET
from proxy.errors import BadCallback, CallbackFailed
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.client import WebhookClient, WebhookResponse
from proxy.webhooks.signature import Signer
from tests.proxy.stores.scripted import Scripted, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from proxy.webhooks.client import Resolve

pytestmark = pytest.mark.anyio

BODY = '{"type":"job.done","timestamp":"2026-11-23T00:00:00Z","data":{"id":"1"}}'
NAME = "hooks.example.org"


def at(*addresses: str) -> Resolve:
    """Return a resolver that resolves every name to these addresses."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


@asynccontextmanager
async def webhook_client(
    *entries: str, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None, deadline_seconds: float = 10
) -> AsyncIterator[WebhookClient]:
    one = WebhookClient(
        parse_allow_list(entries), Signer([SECRET]), resolve=resolve, tls=tls, deadline_seconds=deadline_seconds
    )
    await one.start()
    try:
        yield one
    finally:
        await one.close()


async def post(one: WebhookClient, url: str) -> WebhookResponse:
    return await one.post(url=url, message_id="1-2", body=BODY)


async def test_a_callback_arrives_signed_as_it_was_written() -> None:
    with receiving() as receiver:
        async with webhook_client(receiver.listed) as one:
            assert (await post(one, receiver.url)).status == 204
    (got,) = receiver.received
    assert (got.id, got.event.type, got.event.data) == ("1-2", "job.done", {"id": "1"})
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("gallformers-images/")
    assert got.headers["host"] == receiver.listed.removeprefix("http://")


async def test_a_name_is_called_by_its_name_at_the_address_that_was_checked() -> None:
    async with Scripted(answer(200)) as server:
        entry = f"http://{NAME}:{server.port}"
        async with webhook_client(entry, "127.0.0.0/8", resolve=at("127.0.0.1")) as one:
            assert (await post(one, f"{entry}/a?b=c")).status == 200
    (seen,) = server.seen
    assert (seen.method, seen.target, seen.headers["host"]) == ("POST", "/a?b=c", entry.removeprefix("http://"))


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], ["93.184.216.34", "127.0.0.1"]],
)
async def test_a_name_that_leads_to_a_private_address_is_not_called(addresses: list[str]) -> None:
    async with Scripted(answer(200)) as server:
        entry = f"http://{NAME}:{server.port}"
        async with webhook_client(entry, resolve=at(*addresses)) as one:
            with pytest.raises(CallbackFailed, match="private address"):
                await post(one, entry)
    assert server.seen == []


async def test_a_name_is_resolved_once_and_what_it_leads_to_later_does_not_matter() -> None:
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def rebinding(_host: str, _port: int) -> Sequence[str]:
        return answers.pop(0)

    async with Scripted(answer(200)) as server:
        entry = f"http://{NAME}:{server.port}"
        async with webhook_client(entry, "127.0.0.1", resolve=rebinding) as one:
            assert (await post(one, entry)).status == 200
    assert answers == [["10.0.0.1"]]


async def test_another_address_is_tried_where_one_takes_no_connection() -> None:
    async with Scripted(answer(200)) as server:
        entry = f"http://{NAME}:{server.port}"
        async with webhook_client(entry, "127.0.0.0/8", resolve=at("127.0.0.9", "127.0.0.1")) as one:
            assert (await post(one, entry)).status == 200


@pytest.mark.parametrize("addresses", [[], ["127.0.0.9"]])
async def test_a_receiver_that_is_nowhere_fails_with_a_sentence(addresses: list[str]) -> None:
    async with webhook_client(f"http://{NAME}:9", "127.0.0.0/8", resolve=at(*addresses)) as one:
        with pytest.raises(CallbackFailed, match=NAME):
            await post(one, f"http://{NAME}:9/secret")


async def test_a_name_that_does_not_resolve_fails_with_a_sentence() -> None:
    async with webhook_client("*.invalid") as one:
        with pytest.raises(CallbackFailed, match="cannot be resolved"):
            await post(one, "https://" + "a" * 64 + ".invalid/")  # labels have at most 63 letters: no query is sent


async def test_a_host_that_is_not_listed_is_not_called() -> None:
    async with webhook_client() as one:
        with pytest.raises(BadCallback):
            await post(one, f"https://{NAME}/")


async def test_a_redirect_is_not_followed() -> None:
    async with Scripted(answer(200)) as private, Scripted(answer(302, Location=f"{private.url}/")) as server:
        async with webhook_client(server.url, private.url) as one:
            assert (await post(one, server.url)).status == 302
        assert private.seen == []


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Scripted(answer(200)) as proxy, Scripted(answer(200)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with webhook_client(server.url) as one:
            await post(one, server.url)
        assert (len(proxy.seen), len(server.seen)) == (0, 1)


async def test_a_huge_answer_is_not_read() -> None:
    endless = asyncio.Event()

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            endless.set()
        finally:
            writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, webhook_client(url) as one:
        assert (await post(one, url)).status == 200
        async with asyncio.timeout(10):
            await endless.wait()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_a_slow_receiver_meets_the_deadline(said: bytes) -> None:
    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, webhook_client(url, deadline_seconds=0.2) as one:
        with pytest.raises(CallbackFailed, match=r"within 0\.2 s"):
            await post(one, url)


async def test_a_name_server_that_hangs_meets_the_deadline() -> None:
    async def hang(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with webhook_client(NAME, resolve=hang, deadline_seconds=0.2) as one:
        with pytest.raises(CallbackFailed, match="did not respond within"):
            await post(one, f"https://{NAME}/")


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000])
async def test_what_is_no_answer_fails_with_a_sentence(said: bytes) -> None:
    async with Scripted(said + b"\r\n\r\n" if said else said) as server, webhook_client(server.url) as one:
        with pytest.raises(CallbackFailed, match="is unreachable, or the connection failed"):
            await post(one, server.url)


@pytest.mark.parametrize(
    ("status", "told", "seconds"),
    [
        (503, "120", 120.0),
        (429, "0", 0.0),
        (429, "soon", None),
        (503, "Mon, 23 Nov 2026 00:00:00", None),
        (503, "Mon, 23 Nov 2026 00:00:00 +99999999999999", None),
        (503, "9" * 400, math.inf),
        (503, "", None),
        (500, "120", None),
    ],
)
async def test_when_to_come_back_is_told(status: int, told: str, seconds: float | None) -> None:
    async with Scripted(answer(status, Retry_After=told)) as server, webhook_client(server.url) as one:
        assert await post(one, server.url) == WebhookResponse(status=status, retry_after_seconds=seconds)


async def test_when_to_come_back_may_be_a_date() -> None:
    later = answer(503, Retry_After="Fri, 23 Nov 2125 00:00:00 GMT")
    async with Scripted(later) as server, webhook_client(server.url) as one:
        told = await post(one, server.url)
    assert told.retry_after_seconds is not None
    assert told.retry_after_seconds > 86_400


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a file with a certificate for `NAME` and its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    subject = (
        "-subj",
        f"/CN={NAME}",
        "-addext",
        f"subjectAltName=DNS:{NAME}",
        "-keyout",
        path,
        "-out",
        path.with_suffix(".crt"),
    )
    subprocess.run(("openssl", "req", *made, *subject), check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.mark.needs("openssl", "openssl")
@pytest.mark.parametrize(("name", "is_taken"), [(NAME, True), ("other.example.org", False)])
async def test_the_certificate_must_be_the_names_whatever_the_address(
    certificate: Path, name: str, *, is_taken: bool
) -> None:
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate)

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")
        writer.write(answer(204))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0, ssl=ours)
    entry = f"{name}:{server.sockets[0].getsockname()[1]}"
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with server, webhook_client(entry, "127.0.0.1", resolve=at("127.0.0.1"), tls=trusting) as one:
        if is_taken:
            assert (await post(one, f"https://{entry}/")).status == 204
        else:
            with pytest.raises(CallbackFailed, match="ConnectError"):
                await post(one, f"https://{entry}/")
