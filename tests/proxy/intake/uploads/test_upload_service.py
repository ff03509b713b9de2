"""An upload from its first byte to its job, with stores and queues that fail."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import NotAnImage
from proxy.concurrency.admission import Admission
from proxy.derivatives.recipe import Recipe
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import (
    Busy,
    OrderTakenDown,
    OriginalExists,
    QueueUnavailable,
    StoreDenied,
    StoreRefused,
    StoreUnavailable,
    UploadCutOff,
    UploadTooSlow,
    UploadUrlEnded,
)
from proxy.intake.uploads import upload_service
from proxy.intake.uploads.order import UploadOrder
from proxy.intake.uploads.upload_service import UploadPolicy, UploadService
from proxy.intake.uploads.urls import UploadUrls
from proxy.jobs.service import JobService
from proxy.jobs.takedown.tombstones import Tombstone
from proxy.keys.addresses import PublicAddresses
from proxy.keys.layouts import SiteLayout
from proxy.queues.factory import open_queue
from proxy.stores.memory import MemoryStore
from proxy.system.scratch import ScratchSpace
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.handled import HandledMessages
from proxy.webhooks.outbox import Outbox
from tests.proxy.conftest import ORIGINAL, SIZES
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from proxy.queues.base import JobQueue
    from proxy.stores.base import Attributes, Blob

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(600)
OTHER = b"\x89PNG\r\n\x1a\n" + bytes(900)
MOST = 10_000
ORDERED_AT = 1_000_000


class FaultyStore(MemoryStore):
    """A store that fails as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Exception | None = None
        """Raised by every write."""
        self.fault_after: Exception | None = None
        """Raised by every write once it is done, as when the answer is lost."""
        self.has_conditional_writes = True
        self.after_put: Callable[[], Awaitable[None]] | None = None

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        if self.fault:
            raise self.fault
        blob = await super().put(key, path, attributes)
        if self.fault_after:
            raise self.fault_after
        if self.after_put:
            await self.after_put()
        return blob

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        if not self.has_conditional_writes:
            raise StoreRefused("Not implemented.")
        return await (self.put(key, path, attributes) if await self.head(key) is None else _none())

    async def content(self, key: str) -> bytes | None:
        with suppress(Exception):
            async with self.open(key) as (_, chunks):
                return b"".join([chunk async for chunk in chunks])
        return None


async def _none() -> None:
    return None


class Uploads:
    """An upload service with its parts."""

    def __init__(self, queue: JobQueue, folder: Path) -> None:
        self.queue = queue
        self.store = FaultyStore()
        self.scratch = ScratchSpace(folder / "scratch", room=Admission(budget_bytes=4 * MOST))
        recipe = Recipe(sizes=SIZES, layout=SiteLayout(sizes=tuple(size.name for size in SIZES)), cache_control="")
        outbox = Outbox(queue=queue, allow_list=parse_allow_list([]), keep_seconds=600)
        self.jobs = JobService(
            queue=queue,
            outbox=outbox,
            recipe=recipe,
            addresses=PublicAddresses("/files"),
            queue_size=2,
            keep_seconds=600,
        )
        self.policy = UploadPolicy(max_bytes=MOST, scratch=self.scratch)
        self.urls = UploadUrls([])

    @property
    def service(self) -> UploadService:
        """Return a service that remembers nothing, as after a restart."""
        return UploadService(
            store=self.store,
            jobs=self.jobs,
            urls=self.urls,
            handled=HandledMessages(self.queue),
            policy=self.policy,
        )

    def token(self, key: str = ORIGINAL, *, is_replaced: bool = False, ordered_at: int = ORDERED_AT) -> str:
        order = UploadOrder(key=key, replace=is_replaced)
        issued = self.service.order(order, message_id=None, ordered_at=ordered_at)
        return issued.url.rpartition("/")[2]

    def left(self) -> list[Path]:
        """Return what is left of uploads on the local disk."""
        return [*self.scratch.own_folder().iterdir()]

    async def holds_nothing(self) -> bool:
        return await self.store.content(ORIGINAL) is None and not self.left()


@pytest.fixture
async def uploads(tmp_path: Path) -> AsyncIterator[Uploads]:
    queue = open_queue(f"sqlite:////{tmp_path}/queue.db", name="test")
    await queue.connect()
    one = Uploads(queue, tmp_path)
    with one.scratch.opened():
        yield one
    await queue.disconnect()


async def sent(*chunks: bytes | Callable[[], object]) -> AsyncIterator[bytes]:
    """Send some bytes; what can be called is called in between."""
    for chunk in chunks:
        if isinstance(chunk, bytes):
            yield chunk
        elif asyncio.iscoroutine(done := chunk()):
            await done


def _leave() -> None:
    raise UploadCutOff("The client left.")


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_and_may_try_again(uploads: Uploads) -> None:
    token = uploads.token()
    with pytest.raises(UploadCutOff):
        await uploads.service.receive(token, sent(PNG, _leave), announced_bytes=2 * len(PNG))
    assert await uploads.holds_nothing()
    await uploads.service.receive(token, sent(PNG), announced_bytes=len(PNG))
    assert await uploads.store.content(ORIGINAL) == PNG
    assert uploads.left() == []


async def test_an_upload_that_is_cancelled_leaves_nothing(uploads: Uploads) -> None:
    waits = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield PNG
        waits.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(uploads.service.receive(uploads.token(), stalled(), announced_bytes=None))
    await waits.wait()
    assert len(uploads.left()) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await uploads.holds_nothing()


async def test_an_upload_that_takes_too_long_is_ended(uploads: Uploads) -> None:
    uploads.policy = replace(uploads.policy, upload_seconds=0.05)
    with pytest.raises(UploadTooSlow, match=r"more than 0\.05 s"):
        await uploads.service.receive(uploads.token(), sent(PNG, asyncio.Event().wait), announced_bytes=None)
    assert await uploads.holds_nothing()


async def test_an_upload_that_the_store_refuses_may_be_tried_again(uploads: Uploads) -> None:
    token = uploads.token()
    for fault in (StoreDenied("No."), StoreUnavailable("Away.")):
        uploads.store.fault = fault
        with pytest.raises(type(fault)):
            await uploads.service.receive(token, sent(PNG), announced_bytes=None)
        assert await uploads.holds_nothing()
    uploads.store.fault = None
    await uploads.service.receive(token, sent(PNG), announced_bytes=None)


async def test_an_upload_whose_answer_from_the_store_was_lost_may_be_tried_again_with_other_bytes(
    uploads: Uploads,
) -> None:
    token = uploads.token()
    uploads.store.fault_after = StoreUnavailable("The answer was lost.")
    with pytest.raises(StoreUnavailable):
        await uploads.service.receive(token, sent(PNG), announced_bytes=None)
    assert await uploads.store.content(ORIGINAL) == PNG
    uploads.store.fault_after = None
    await uploads.service.receive(token, sent(OTHER), announced_bytes=None)
    assert await uploads.store.content(ORIGINAL) == OTHER
    with pytest.raises(OriginalExists):
        await uploads.service.receive(uploads.token(), sent(PNG), announced_bytes=None)


async def test_a_full_queue_refuses_an_upload_before_it_is_read(uploads: Uploads) -> None:
    for number in range(2):
        await uploads.service.receive(
            uploads.token(f"gall/{number}/{number}_1_original.jpg"), sent(PNG), announced_bytes=None
        )
    read: list[int] = []
    with pytest.raises(Busy):
        await uploads.service.receive(uploads.token(), sent(lambda: read.append(1), PNG), announced_bytes=None)
    assert read == []


async def test_a_queue_that_is_lost_after_the_store_has_the_original_costs_only_a_second_try(uploads: Uploads) -> None:
    token, working = uploads.token(), uploads.jobs

    class Lost(JobService):
        async def submit(self, *_: object, **__: object) -> None:  # type: ignore[override] # it never returns
            raise QueueUnavailable("Away.")

    lost = object.__new__(Lost)
    lost.__dict__.update(working.__dict__)
    uploads.jobs = lost
    with pytest.raises(QueueUnavailable):
        await uploads.service.receive(token, sent(PNG), announced_bytes=None)
    uploads.jobs = working
    job = await uploads.service.receive(token, sent(PNG), announced_bytes=None)
    assert await uploads.jobs.get(job.id) == job


async def test_every_process_knows_that_a_url_was_used(uploads: Uploads) -> None:
    token = uploads.token(is_replaced=True)
    job = await uploads.service.receive(token, sent(PNG), announced_bytes=None)
    with pytest.raises(UploadUrlEnded, match=f"its job is /v1/jobs/{job.id}"):
        await uploads.service.receive(token, sent(OTHER), announced_bytes=None)


async def test_a_store_without_conditional_writes_is_looked_at_before_the_write(uploads: Uploads) -> None:
    uploads.store.has_conditional_writes = False
    first, second = uploads.token(), uploads.token()
    await uploads.service.receive(first, sent(PNG), announced_bytes=None)

    with pytest.raises(OriginalExists):
        await uploads.service.receive(second, sent(OTHER), announced_bytes=None)
    await uploads.store.delete(ORIGINAL)
    await uploads.service.receive(second, sent(OTHER), announced_bytes=None)
    assert await uploads.store.content(ORIGINAL) == OTHER


async def test_an_uploaded_original_has_the_type_of_its_bytes(uploads: Uploads) -> None:
    await uploads.service.receive(uploads.token(), sent(PNG[:5], PNG[5:]), announced_bytes=None)
    blob = await uploads.store.head(ORIGINAL)
    assert blob is not None
    assert blob.attributes.content_type == "image/png"
    assert blob.bytes == len(PNG)


async def test_uploads_beyond_the_turns_wait_and_beyond_those_are_refused(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_service, "AT_ONCE", 1)
    monkeypatch.setattr(upload_service, "WAITING", 1)
    uploads.policy = replace(uploads.policy, timeouts=PageTimeouts(max_wait_seconds=20, max_total_seconds=60))
    service, goes_on, began = uploads.service, asyncio.Event(), []

    def upload(number: int) -> asyncio.Task[object]:
        key = f"gall/{number}/{number}_1_original.jpg"
        chunks = sent(lambda: began.append(number), PNG, goes_on.wait)
        return asyncio.create_task(service.receive(uploads.token(key), chunks, announced_bytes=None))

    async def has_begun() -> bool:
        return began == [1]

    first = upload(1)
    await until(has_begun)
    second, third = upload(2), upload(3)
    with pytest.raises(Busy, match=r"Too many uploads are running; try again in \d+ s"):
        await third
    assert began == [1]
    goes_on.set()
    await asyncio.gather(first, second)
    assert began == [1, 2]


async def test_all_uploads_take_at_most_half_of_the_scratch_space(uploads: Uploads) -> None:
    service, goes_on, began = uploads.service, asyncio.Event(), []

    def upload(number: int) -> asyncio.Task[object]:
        key = f"gall/{number}/{number}_1_original.jpg"
        chunks = sent(lambda: began.append(number), PNG, goes_on.wait)
        return asyncio.create_task(service.receive(uploads.token(key), chunks, announced_bytes=None))

    async def two() -> bool:
        return len(began) == 2

    tasks = [upload(number) for number in range(3)]
    await until(two)
    assert len(uploads.left()) == 2  # of the largest size each, as none announced its own
    tasks[2].cancel()
    goes_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert uploads.left() == []


async def test_an_unreadable_upload_is_named(uploads: Uploads) -> None:
    with pytest.raises(NotAnImage, match="JPEG"):
        await uploads.service.receive(uploads.token(), sent(b"hello"), announced_bytes=5)


async def test_an_upload_that_was_ordered_after_a_takedown_ends_its_tombstone(uploads: Uploads) -> None:
    await uploads.jobs.tombstones.add(ORIGINAL, Tombstone(at=ORDERED_AT - 1, job_id="0" * 32))
    await uploads.service.receive(uploads.token(), sent(PNG), announced_bytes=None)
    assert await uploads.store.content(ORIGINAL) == PNG
    assert not await uploads.jobs.tombstones.is_taken_down(ORIGINAL)


async def test_an_upload_that_was_ordered_before_a_takedown_brings_nothing_back(uploads: Uploads) -> None:
    read: list[int] = []
    await uploads.jobs.tombstones.add(ORIGINAL, Tombstone(at=ORDERED_AT + 1, job_id="0" * 32))
    with pytest.raises(OrderTakenDown):
        await uploads.service.receive(uploads.token(), sent(lambda: read.append(1), PNG), announced_bytes=None)
    assert read == []
    assert await uploads.holds_nothing()
    assert await uploads.jobs.tombstones.is_taken_down(ORIGINAL)


@pytest.mark.parametrize("moment", ["while it arrives", "while it is stored"])
async def test_an_upload_that_is_overtaken_by_a_takedown_leaves_nothing(uploads: Uploads, moment: str) -> None:
    async def take_down() -> None:
        await uploads.jobs.tombstones.add(ORIGINAL, Tombstone(at=ORDERED_AT + 1, job_id="0" * 32))

    uploads.store.after_put = take_down if moment == "while it is stored" else None
    chunks = sent(PNG) if uploads.store.after_put else sent(PNG, take_down)
    with pytest.raises(OrderTakenDown):
        await uploads.service.receive(uploads.token(), chunks, announced_bytes=None)
    assert await uploads.holds_nothing()
