"""A service with pages, called over ASGI as a browser on this machine would."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.proxy.http.conftest import Site, key, serving
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["key"]

HOST = "http://127.0.0.1:8080"
PASSWORD = "a long password of tests"
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """A browser with cookies, and the site that it visits."""

    site: Site
    client: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def token(self, path: str = "/jobs") -> str:
        """Return the token of the forms of a page."""
        found = TOKEN.search((await self.get(path)).text)
        assert found
        return found[1]

    async def send(self, path: str, *, token: str | None = None, page: str = "/jobs", **fields: str) -> httpx.Response:
        """Send a form as the page `page` would."""
        given = await self.token(page) if token is None else token
        return await self.client.post(path, data={"form_token": given, **fields})

    async def done(self, job_id: str) -> dict[str, object]:
        """Return a job once it has ended."""

        async def ended() -> dict[str, object] | None:
            job: dict[str, object] = (await self.client.get(f"/v1/jobs/{job_id}")).json()
            return job if job["finished_at"] else None

        return await until(ended)


@asynccontextmanager
async def browsing(folder: Path, *, host: str = HOST, **settings: object) -> AsyncIterator[Browser]:
    """Yield a browser that visits a service with pages."""
    async with serving(folder, ui=True, webhook_secrets="", stream_cache_mb=0, **settings) as site:
        transport = site.client._transport  # noqa: SLF001 - the same application, under another host
        async with httpx.AsyncClient(transport=transport, base_url=host) as client:
            yield Browser(site=site, client=client)


@pytest.fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A browser on the machine of a service without a password."""
    async with browsing(tmp_path_factory.mktemp("pages")) as one:
        yield one


@pytest.fixture
async def guest(tmp_path: Path) -> AsyncIterator[Browser]:
    """A browser elsewhere, and a service with a password."""
    async with browsing(tmp_path, host="https://images.test", ui_password=PASSWORD) as one:
        yield one


def words(answer: httpx.Response) -> str:
    """Return the text of a page, as a reader sees it."""
    main = answer.text.partition("<main")[2]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())
