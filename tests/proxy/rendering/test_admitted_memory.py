"""Real renders within a memory budget, and the waits of requests for the same original."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loadtest.paint import Photograph, paint
from pipeline.errors import NeedsTooMuchMemory
from pipeline.protocol import ImageInfo, Render
from pipeline.size import Size
from proxy.concurrency.admission import Admission, Priority, Reservation, Ticket
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import Busy
from proxy.rendering.pool import IDLE_BYTES, PROBE_BYTES, RenderPool, remedy
from tests.proxy.conftest import BUDGET_BYTES, ORIGINAL, SIZES, CountingStore, Workshop, open_workshop
from tests.proxy.rendering.test_pool import render_pids
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.derivatives.results import GenerationResult
    from proxy.stores.base import Blob

pytestmark = pytest.mark.anyio

OTHER = "gall/59/59_1_original.jpg"
BRIEFLY = PageTimeouts(max_wait_seconds=0.05)


class WatchedLimiter(Admission):
    """An admission controller that records the reserved bytes after each resize."""

    def __init__(self, *, slots: int, budget_bytes: int, waiting: int) -> None:
        super().__init__(slots=slots, budget_bytes=budget_bytes, waiting=waiting)
        self.reserved_after_resizing: list[int] = []

    async def resize(
        self, reservation: Reservation, size: int, *, before_wait: Callable[[], None] | None = None
    ) -> None:
        await super().resize(reservation, size, before_wait=before_wait)
        self.reserved_after_resizing.append(self.reserved_bytes)


@asynccontextmanager
async def pooled(admission: Admission) -> AsyncIterator[RenderPool]:
    render_pool = RenderPool(admission=admission, deadline_seconds=30)
    await render_pool.start()
    try:
        yield render_pool
    finally:
        await render_pool.close()


@asynccontextmanager
async def pool(budget_bytes: int, *, slots: int = 2) -> AsyncIterator[tuple[RenderPool, Admission]]:
    admission = Admission(slots=slots, budget_bytes=budget_bytes, waiting=100)
    async with pooled(admission) as render_pool:
        yield render_pool, admission


def question(photo: Path, folder: Path) -> Render:
    return Render(path=str(photo), folder=str(folder), sizes=SIZES)


async def predicted(render_pool: RenderPool, photo: Path, folder: Path) -> int:
    return (await render_pool.render(question(photo, folder), Ticket(Priority.JOB))).derived.info.render_bytes


async def settle() -> None:
    """Run the event loop until no task can proceed."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a photograph that needs some 20 MB more than a small one, as all its coefficients are held at once."""
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    paint(path, Photograph(width=3000, height=2000), interlace=True)
    return path


async def test_what_can_never_fit_is_refused_at_once_with_the_numbers(large: Path, tmp_path: Path) -> None:
    async with pool(PROBE_BYTES + 1) as (render_pool, admission):
        with pytest.raises(NeedsTooMuchMemory, match=r"needs \d\d MB of memory, but the limit is 44 MB"):
            await render_pool.render(question(large, tmp_path), Ticket(Priority.PAGE))
        assert admission.reserved_bytes == 0


@pytest.mark.parametrize(
    ("is_progressive", "orientation", "size", "remedy_expected"),
    [
        (True, 1, Size(name="small", width=60), "a smaller image, or this one as a baseline JPEG"),
        (True, 6, Size(name="small", width=60), "a smaller image, or this one as a baseline JPEG"),
        (False, 6, Size(name="small", width=60), "a smaller image"),
        (False, 6, Size(name="full", strip_only=True), "a smaller image, or this one stored upright"),
    ],
)
def test_a_refusal_for_memory_says_what_would_help(
    *, is_progressive: bool, orientation: int, size: Size, remedy_expected: str
) -> None:
    info = ImageInfo(
        format="jpeg",
        width=3000,
        height=2000,
        bands=3,
        bits=8,
        frames=1,
        orientation=orientation,
        has_alpha=False,
        is_progressive=is_progressive,
        render_bytes=1,
    )
    asked = Render(path="", folder="", sizes=(size,), wanted=(size.name,))
    assert remedy(info, asked) == remedy_expected


async def test_a_refusal_for_memory_is_remembered_until_the_bytes_change(
    large: Path, photo: Path, policy: GenerationPolicy
) -> None:
    async with pool(PROBE_BYTES + 10_000_000) as (render_pool, _):
        workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, limits=type(policy.limits)()))
        await workshop.upload(path=large)
        for _ in range(3):
            with pytest.raises(NeedsTooMuchMemory):
                await workshop.derivatives.locate(ORIGINAL, "small")
        assert workshop.calls["fetch"] == 1
        await workshop.upload()
        assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "render"


async def test_renders_that_do_not_fit_beside_each_other_run_one_after_another(large: Path, tmp_path: Path) -> None:
    async with pool(BUDGET_BYTES) as (render_pool, _):
        needed_bytes = await predicted(render_pool, large, tmp_path)
    admission = WatchedLimiter(slots=3, budget_bytes=needed_bytes, waiting=100)
    async with pooled(admission) as render_pool:
        folders = [tmp_path / str(number) for number in range(3)]
        for folder in folders:
            folder.mkdir()
        await asyncio.gather(*(render_pool.render(question(large, folder), Ticket(Priority.JOB)) for folder in folders))
    assert admission.reserved_after_resizing == [needed_bytes] * 3


async def test_a_render_that_must_wait_holds_no_process(large: Path, tmp_path: Path) -> None:
    async with pool(BUDGET_BYTES) as (render_pool, _):
        needed_bytes = await predicted(render_pool, large, tmp_path)
    async with pool(needed_bytes + 1) as (render_pool, admission), AsyncExitStack() as stack:
        held = admission.reserve(Ticket(Priority.JOB), needed_bytes - PROBE_BYTES)
        await stack.enter_async_context(held)
        rendering = asyncio.create_task(render_pool.render(question(large, tmp_path), Ticket(Priority.JOB)))

        async def has_probed() -> bool:
            return bool(admission._waiting) and not render_pids(children=True)  # noqa: SLF001 - it holds nothing

        await until(has_probed)
        assert admission.reserved_bytes == needed_bytes - PROBE_BYTES
        await stack.aclose()
        assert len((await rendering).derived.derivatives) == len(SIZES)


async def test_the_fork_server_counts_only_while_nothing_renders(photo: Path, tmp_path: Path) -> None:
    async with pool(BUDGET_BYTES) as (render_pool, admission):
        assert render_pool.reserved_bytes == IDLE_BYTES
        async with admission.reserve(Ticket(Priority.JOB), PROBE_BYTES):
            assert render_pool.reserved_bytes == PROBE_BYTES
        await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))
        assert render_pool.reserved_bytes == IDLE_BYTES


async def test_everything_is_given_back_when_a_caller_goes_away_at_any_moment(photo: Path, tmp_path: Path) -> None:
    before = render_pids()
    async with pool(PROBE_BYTES * 2) as (render_pool, admission):
        for steps in (0, 1, 2, 5, 20, 200):
            rendering = asyncio.create_task(render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB)))
            for _ in range(steps):
                await asyncio.sleep(0)
            rendering.cancel()
            await asyncio.gather(rendering, return_exceptions=True)
            assert admission.reserved_bytes == 0
        assert (await render_pool.render(question(photo, tmp_path), Ticket(Priority.JOB))).derived.derivatives
    assert render_pids() == before


class SlowStore(CountingStore):
    """A store in memory whose fetches wait for `go_on`."""

    def __init__(self) -> None:
        super().__init__(Counter())
        self.fetching = asyncio.Event()
        self.go_on = asyncio.Event()

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        self.fetching.set()
        await self.go_on.wait()
        return await super().fetch(key, path, max_bytes=max_bytes)


async def held_up(workshop: Workshop, store: SlowStore) -> asyncio.Task[GenerationResult]:
    """Start a job that hangs in its fetch, and return its task."""
    await workshop.upload()
    task = asyncio.create_task(workshop.derivatives.generate(ORIGINAL))
    await store.fetching.wait()
    return task


async def test_a_page_view_behind_a_job_that_is_held_up_is_told_to_come_back_and_the_job_goes_on(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    store = SlowStore()
    workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, timeouts=BRIEFLY), store=store)
    job = await held_up(workshop, store)
    with pytest.raises(Busy, match="still being generated"):
        await workshop.derivatives.locate(ORIGINAL, "small")
    store.go_on.set()
    await job
    assert (await workshop.derivatives.locate(ORIGINAL, "small")).source == "cache"
    assert workshop.calls["fetch"] == 1


async def test_a_fetch_that_hangs_holds_no_slot(photo: Path, policy: GenerationPolicy) -> None:
    store = SlowStore()
    async with pool(BUDGET_BYTES, slots=1) as (render_pool, admission):
        workshop = open_workshop(render_pool, photo=photo, policy=policy, store=store)
        job = await held_up(workshop, store)
        assert (admission.admitted, admission.reserved_bytes) == (1, 0)
        hanging, store.go_on = store.go_on, asyncio.Event()
        store.go_on.set()
        await workshop.upload(OTHER)
        assert (await workshop.derivatives.locate(OTHER, "small")).source == "render"
        assert not job.done()
        hanging.set()
        assert (await job).fault is None


async def test_a_page_view_that_waits_for_what_a_job_makes_finds_it(
    render_pool: RenderPool, photo: Path, policy: GenerationPolicy
) -> None:
    store = SlowStore()
    workshop = open_workshop(render_pool, photo=photo, policy=policy, store=store)
    job = await held_up(workshop, store)
    view = asyncio.create_task(workshop.derivatives.locate(ORIGINAL, "small"))
    await settle()
    store.go_on.set()
    await asyncio.gather(job, view)
    assert (workshop.calls["fetch"], workshop.calls["put"]) == (1, 3)


async def test_a_page_view_makes_the_flight_that_it_waits_for_as_urgent_as_itself(
    photo: Path, policy: GenerationPolicy
) -> None:
    async with pool(BUDGET_BYTES, slots=1) as (render_pool, admission), AsyncExitStack() as stack:
        workshop = open_workshop(render_pool, photo=photo, policy=policy)
        for key in (OTHER, ORIGINAL):
            await workshop.upload(key)
        await stack.enter_async_context(admission.reserve(Ticket(Priority.JOB), 1))
        ended: list[str] = []

        async def make(key: str, priority: Priority) -> None:
            await workshop.derivatives.generate(key, priority=priority)
            ended.append(key)

        async def until_fetched(count: int) -> None:
            while workshop.calls["fetch"] < count:
                workshop.store.fetched.clear()
                await workshop.store.fetched.wait()
            await settle()

        flights = [asyncio.create_task(make(OTHER, Priority.JOB))]
        await until_fetched(1)
        flights.append(asyncio.create_task(make(ORIGINAL, Priority.BATCH)))
        await until_fetched(2)
        flights.append(asyncio.create_task(make(ORIGINAL, Priority.PAGE)))
        await settle()
        await stack.aclose()
        await asyncio.gather(*flights)
        assert ended.index(ORIGINAL) < ended.index(OTHER)


async def test_what_is_known_or_stored_waits_for_no_render(photo: Path, policy: GenerationPolicy) -> None:
    async with (
        pool(BUDGET_BYTES, slots=1) as (render_pool, admission),
        admission.reserve(Ticket(Priority.JOB), BUDGET_BYTES),
    ):
        workshop = open_workshop(render_pool, photo=photo, policy=replace(policy, timeouts=BRIEFLY))
        await workshop.upload()
        await workshop.plant("gall/58/58_1_small.jpg")
        sources = [
            (await workshop.derivatives.locate(ORIGINAL, size)).source for size in ("small", "small", "original")
        ]
        assert sources == ["store", "cache", "store"]
        with pytest.raises(Busy):
            await workshop.derivatives.locate(ORIGINAL, "large")
