"""The public read of a probe: what a browser would get."""

from __future__ import annotations

import pytest

from loadtest.servers.ports import free_port
from proxy.errors import StoreRefused, StoreUnavailable
from proxy.stores.s3.public_read import MAX_BYTES, read_public
from tests.proxy.stores.scripted import Scripted, answer

pytestmark = pytest.mark.anyio


async def test_the_bytes_are_read_past_caches_and_not_without_end() -> None:
    async with Scripted(answer(200, b"x" * 9000)) as server:
        assert await read_public(f"{server.url}/a%20b") == b"x" * MAX_BYTES
    assert (server.seen[0].target, server.seen[0].headers["cache-control"]) == ("/a%20b", "no-cache")


async def test_a_redirect_is_followed_as_browsers_do() -> None:
    async with Scripted(answer(302, Location="/b"), answer(200, b"bytes")) as server:
        assert await read_public(f"{server.url}/a") == b"bytes"


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_bucket_that_is_not_public_has_a_sentence_of_its_own(status: int) -> None:
    async with Scripted(answer(status)) as server:
        with pytest.raises(StoreRefused, match=f"{server.url} responds with {status}.*is not public there") as raised:
            await read_public(f"{server.url}/a")
    assert raised.value.brief == f"not public: the public URL responds with {status}"


async def test_another_refusal_names_the_setting() -> None:
    async with Scripted(answer(400)) as server:
        with pytest.raises(StoreRefused, match="check PUBLIC_BASE_URL"):
            await read_public(f"{server.url}/a")


@pytest.mark.parametrize("said", [answer(503), b"not HTTP\r\n\r\n", answer(302, Location="http://[x")])
async def test_what_may_pass_is_unavailable(said: bytes) -> None:
    async with Scripted(said) as server:
        with pytest.raises(StoreUnavailable, match="PUBLIC_BASE_URL"):
            await read_public(f"{server.url}/a")


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await read_public(f"http://127.0.0.1:{free_port()}/a")
