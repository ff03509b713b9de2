"""A thousand wrong passwords over sockets, while others use the pages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.servers.service import Service, running
from proxy.ui.access.tries import BURST, EVERY_SECONDS
from tests.proxy.ui.conftest import PASSWORD, TOKEN
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

WRONG, AT_ONCE = 1000, 40
MOST_GROWTH_BYTES = 8 << 20
"""Less than the 16 MiB of one hash: no memory may stay with a log-in that was refused."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path, UI="true", UI_PASSWORD=PASSWORD) as one:
        yield one


def visitor(service: Service, address: str) -> httpx.AsyncClient:
    """Return a browser with another address of this machine."""
    transport = httpx.AsyncHTTPTransport(local_address=address, limits=httpx.Limits(max_connections=AT_ONCE))
    return httpx.AsyncClient(transport=transport, base_url=service.url, timeout=60)


async def token_of(client: httpx.AsyncClient) -> str:
    found = TOKEN.search((await client.get("/login")).text)
    assert found
    return found[1]


async def enter(client: httpx.AsyncClient, token: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/login", data={"form_token": token, "password": password})


def resident_bytes(service: Service) -> int:
    assert service.process
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def test_a_thousand_wrong_passwords_hinder_nobody_else(service: Service) -> None:
    async with visitor(service, "127.0.0.2") as flood, visitor(service, "127.0.0.3") as editor:
        assert (await enter(editor, await token_of(editor))).status_code == 303
        token = await token_of(flood)
        statuses: list[int] = []
        seen: list[int] = []
        numbers = iter(range(WRONG))

        async def guess() -> None:
            for number in numbers:
                answer = await enter(flood, token, f"wrong {number}")
                statuses.append(answer.status_code)

        async def read() -> None:
            while len(statuses) < WRONG:
                answer = await editor.get("/jobs")
                seen.append(answer.status_code)

        await enter(flood, token, "wrong")
        before, began = resident_bytes(service), asyncio.get_running_loop().time()
        await asyncio.gather(read(), *(guess() for _ in range(AT_ONCE)))
        took = asyncio.get_running_loop().time() - began
        assert {*statuses} == {401, 429}
        assert statuses.count(401) <= BURST + took / EVERY_SECONDS
        assert {*seen} == {200}
        assert len(seen) > 10
        assert resident_bytes(service) - before < MOST_GROWTH_BYTES

        async def entered() -> bool:
            return (await enter(flood, token)).status_code == 303

        await until(entered)
