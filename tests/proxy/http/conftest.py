"""The whole service in the test's process, with the embedded defaults, called over ASGI."""

from __future__ import annotations

import base64
import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest.paint import Photograph, paint
from proxy.app.asgi import create_app, create_shortcut
from proxy.app.lifecycle import running
from proxy.app.wiring import build
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.http.protocol.connection import Shortcut

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or more").decode()

KEY = "gall/58/58_1_original.jpg"

NUMBERS = itertools.count(1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running service and the folder of its store."""

    client: httpx.AsyncClient
    store: Path
    shortcut: Shortcut
    """What the server asks before the application; the client does not."""

    def upload(self, key: str = KEY, *, width: int = 480, height: int = 360) -> None:
        """Paint an original into the folder of the store."""
        path = self.store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(painted(width, height))


@cache
def painted(width: int, height: int) -> bytes:
    """Give the bytes of an original."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "original.jpg")
        paint(path, Photograph(width=width, height=height))
        return path.read_bytes()


@asynccontextmanager
async def serving(folder: Path, **settings: object) -> AsyncIterator[Site]:
    """Yield a running service whose data are in `folder`."""
    told = replace(
        Settings(
            store=f"file://{folder}/store",
            queue=f"sqlite:////{folder}/queue.db",
            metrics_port=0,
            webhook_secrets=SECRET,
            sizes=read_sizes(Path(SIZES_FILE)),
        ),
        **settings,  # type: ignore[arg-type] # the test passes the right types
    )
    components = build(told)
    app = httpx.ASGITransport(create_app(components, told))  # type: ignore[arg-type] # the same protocol, other names
    async with running(components, told), httpx.AsyncClient(transport=app, base_url="http://images.test") as client:
        yield Site(client=client, store=folder / "store", shortcut=create_shortcut(components, told))


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A service that the tests of a module share: each changes nothing, or uses a key of its own."""
    async with serving(tmp_path_factory.mktemp("site")) as one:
        yield one


@pytest.fixture
async def own_site(tmp_path: Path) -> AsyncIterator[Site]:
    """A service for a test that changes what others would see."""
    async with serving(tmp_path) as one:
        yield one


@pytest.fixture
def key() -> str:
    """The key of an original that no other test uses."""
    number = next(NUMBERS)
    return f"gall/{number}/{number}_1_original.jpg"
