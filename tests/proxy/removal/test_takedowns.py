"""Takedowns, on a bucket with versions (moto) and on stores without: nothing of the picture is left anywhere."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import botocore.session
import pytest
import structlog

from proxy.concurrency.backoff import Backoff
from proxy.errors import BadKey, CdnPurgeRefused, NotFound, PermissionMissing, StoreRefused, TakenDown
from proxy.jobs.request import JobRequest
from proxy.jobs.takedown.tombstones import Tombstone
from proxy.jobs.worker import JobWorker
from proxy.keys.shadow import REPLACED
from proxy.queues.factory import open_queue
from proxy.queues.worker import running_worker
from proxy.removal.addresses import PublicUrls, statuses
from proxy.removal.late_writes import PURGE_TRIES, LateWrites
from proxy.removal.takedowns import TakedownPolicy, Takedowns
from proxy.stores.base import Attributes, BlobVersion
from proxy.stores.memory import MemoryStore
from tests.proxy.conftest import ORIGINAL, open_derivatives
from tests.proxy.derivatives.test_purge import other_layouts
from tests.proxy.queues.asking import take
from tests.proxy.queues.test_jobs import jobs_of
from tests.proxy.removal.cdns import CachePurger, CachingServer, caching
from tests.proxy.stores.s3.s3_stores import opened
from tests.proxy.stores.s3.simulated import moto  # noqa: F401 - a fixture
from tests.proxy.stores.seaweed import ADMIN, Seaweed
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from saq.types import Context

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.derivatives.service import DerivativeService
    from proxy.errors import StoreError
    from proxy.jobs.job import Job
    from proxy.jobs.service import JobService
    from proxy.queues.base import JobQueue
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob, Store
    from proxy.stores.s3.config import BucketConfig

pytestmark = pytest.mark.anyio

WAITS = Backoff(first_seconds=0.05, longest_seconds=0.1)
AT = 1_700_000_000
PICTURE = Attributes(content_type="image/jpeg")

NAMES = (
    ORIGINAL,
    "gall/58/58_1_small.jpg",
    "gall/58/58_1_large.jpg",
    "gall/58/58_1_former.jpg",
    "gall/58/58_1_small.jpg.avif",
    f"{REPLACED}gall/58/58_1_small.jpg",
    "shadow/gall/58/58_1_small.jpg",
)
OTHERS = ("gall/58/58_10_original.jpg", "gall/58/58_1_b_small.jpg", f"{REPLACED}{ORIGINAL}", "gall/58/notes.txt")
"""Files that are not of the picture, whatever they are called."""


@dataclass(frozen=True, kw_only=True)
class Office:
    """What takes pictures down, on a store and a queue, with a CDN."""

    store: Store
    queue: JobQueue
    jobs: JobService
    takedowns: Takedowns
    derivatives: DerivativeService
    straggler: DerivativeService
    """The same in another process."""
    purger: CachePurger
    cdn: CachingServer
    file: Path

    async def fill(self, *keys: str) -> None:
        self.file.write_bytes(b"a picture")
        for key in keys:
            await self.store.put(key, self.file, PICTURE)

    async def request(self, message_id: str = "msg_1") -> Job:
        return await self.takedowns.request(ORIGINAL, message_id=message_id, signed_at=AT)

    async def left(self) -> set[str]:
        """Return the keys of all versions and markers in the store."""
        return {one.key async for one in self.store.versions("")}

    async def ended(self, job: Job) -> Job:
        """Run a worker until a job has ended; return it."""
        worker = JobWorker(
            queue=self.queue,
            derivatives=self.derivatives,
            complete_job=self.jobs.complete,
            concurrency=2,
            grace_seconds=30,
            takedown=self.takedowns,
        )

        async def look() -> Job | None:
            now = await self.jobs.get(job.id)
            return now if now.status in {"done", "error"} else None

        async with running_worker(worker):
            return await until(look)


class Taps:
    """What the CDN reads from a store in memory or a bucket, from its own thread."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self._store, self._loop = store, loop

    def read(self, key: str) -> bytes | None:
        return asyncio.run_coroutine_threadsafe(self._read(key), self._loop).result(10)

    async def _read(self, key: str) -> bytes | None:
        try:
            async with self._store.open(key) as (_, chunks):
                return b"".join([chunk async for chunk in chunks])
        except (NotFound, BadKey):
            return None


class Unversioned(MemoryStore):
    """A store in memory that can refuse a listing of versions, and pause a deletion or an upload."""

    may_list_versions = True

    def __init__(self) -> None:
        super().__init__()
        self.before_delete: Callable[[], Awaitable[object]] | None = None
        self.before_put: Callable[[], Awaitable[object]] | None = None
        self.after_put: Callable[[str], Awaitable[object]] | None = None

    async def versions(self, prefix: str) -> AsyncIterator[BlobVersion]:
        if not self.may_list_versions:
            raise PermissionMissing("s3:ListBucketVersions")
        async for one in super().versions(prefix):
            yield one

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        before, self.before_put = self.before_put, None
        if before:
            await before()
        blob = await super().put(key, path, attributes)
        if self.after_put:
            await self.after_put(key)
        return blob

    async def delete(self, key: str) -> None:
        before, self.before_delete = self.before_delete, None
        if before:
            await before()
        await super().delete(key)


@asynccontextmanager
async def office(
    store: Store, pool: RenderPool, policy: GenerationPolicy, folder: Path, **rules: Any
) -> AsyncIterator[Office]:
    """Yield everything that takes pictures down from a store."""
    queue = open_queue(f"sqlite:///{folder / 'queue.db'}", name="derivatives")
    await queue.connect()
    jobs = jobs_of(queue)

    async def remove_late(original: str) -> None:
        await late.remove_if_taken_down(original)  # made below: it needs the recipe

    policy = replace(
        policy,
        is_taken_down=jobs.tombstones.is_known_taken_down,
        remove_late=remove_late,
        look_seconds=0,
    )
    derivatives = open_derivatives(store, pool, policy=policy)
    straggler = open_derivatives(store, pool, policy=policy)
    layout = derivatives.recipe.layout
    derivatives.recipe = replace(derivatives.recipe, other_layouts=other_layouts(layout))
    with caching(Taps(store, asyncio.get_running_loop()).read) as cdn:
        purger, urls = CachePurger(cdn), PublicUrls(files=cdn.url)
        late = LateWrites(
            store=store, recipe=derivatives.recipe, tombstones=jobs.tombstones, urls=urls, purger=purger, waits=WAITS
        )
        takedowns = Takedowns(
            queue=queue,
            jobs=jobs,
            derivatives=derivatives,
            policy=TakedownPolicy(urls=urls, purger=purger, **rules),
            late_writes=late,
            waits=WAITS,
        )
        yield Office(
            store=store,
            queue=queue,
            jobs=jobs,
            takedowns=takedowns,
            derivatives=derivatives,
            straggler=straggler,
            purger=purger,
            cdn=cdn,
            file=folder / "file",
        )
    await straggler.close()
    await derivatives.close()
    await queue.disconnect()


@pytest.fixture
async def memory(render_pool: RenderPool, policy: GenerationPolicy, tmp_path: Path) -> AsyncIterator[Office]:
    async with office(Unversioned(), render_pool, policy, tmp_path) as one:
        yield one


@pytest.fixture
async def weed_bucket(
    weed: Seaweed, render_pool: RenderPool, policy: GenerationPolicy, tmp_path: Path
) -> AsyncIterator[tuple[Office, BucketConfig]]:
    config = weed.bucket("versioned")
    weed.client().create_bucket(Bucket="versioned")
    async with opened(config, ADMIN) as store, office(store, render_pool, policy, tmp_path) as one:
        yield one, config


async def test_no_version_is_left_on_a_real_server(weed_bucket: tuple[Office, BucketConfig]) -> None:
    one, config = weed_bucket
    await one.fill(*NAMES)
    keep_versions(config, "Enabled")
    await one.fill(*NAMES, *NAMES, *OTHERS)
    await one.store.delete(NAMES[1])
    job = await one.ended(await one.request())
    assert (job.status, await one.left()) == ("done", {*OTHERS})


@pytest.fixture
async def bucket(
    moto: BucketConfig,  # noqa: F811 - the fixture
    render_pool: RenderPool,
    policy: GenerationPolicy,
    tmp_path: Path,
) -> AsyncIterator[Office]:
    async with opened(moto, ADMIN) as store, office(store, render_pool, policy, tmp_path) as one:
        yield one


def keep_versions(config: BucketConfig, status: str) -> None:
    """Have the bucket keep versions from now on, or not."""
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=config.endpoint_url,
        region_name=config.region,
        aws_access_key_id=ADMIN.access_key_id,
        aws_secret_access_key=ADMIN.secret_access_key,
    )
    client.put_bucket_versioning(Bucket=config.name, VersioningConfiguration={"Status": status})


async def statuses_of(office: Office, *keys: str) -> set[int]:
    return {*await statuses([f"{office.cdn.url}/{key}" for key in keys])}


async def test_nothing_of_the_picture_is_left_and_the_receipt_lists_it(memory: Office) -> None:
    await memory.fill(*NAMES, *OTHERS)
    assert await statuses_of(memory, *NAMES) == {200}
    job = await memory.ended(await memory.request())
    assert (job.status, job.error, await memory.left()) == ("done", None, {*OTHERS})
    assert job.takedown is not None
    assert {one.key: (one.versions, one.bytes) for one in job.takedown.removed} == dict.fromkeys(NAMES, (("",), 9))
    assert {f"{memory.cdn.url}/{key}" for key in NAMES} <= {one.url for one in job.takedown.addresses}
    assert {(one.status, one.purged) for one in job.takedown.addresses} == {(404, True)}
    assert await statuses_of(memory, *NAMES) == {404}


async def test_no_version_and_no_marker_is_left_in_a_bucket_that_keeps_them(
    bucket: Office,
    moto: BucketConfig,  # noqa: F811 - the fixture
) -> None:
    """The first blobs are from a time without versions; a purge has left a marker."""
    await bucket.fill(*NAMES)
    keep_versions(moto, "Enabled")
    await bucket.fill(*NAMES, *NAMES)
    await bucket.store.delete(NAMES[1])
    job = await bucket.ended(await bucket.request())
    assert (job.status, await bucket.left()) == ("done", set())
    assert job.takedown is not None
    removed = {one.key: one for one in job.takedown.removed}
    assert (len(removed[ORIGINAL].versions), removed[ORIGINAL].bytes) == (3, 27)
    assert len(removed[NAMES[1]].versions) == 4


async def test_a_bucket_that_never_kept_versions_is_emptied(bucket: Office) -> None:
    await bucket.fill(*NAMES)
    job = await bucket.ended(await bucket.request())
    assert (job.status, await bucket.left()) == ("done", set())


async def test_a_picture_that_does_not_exist_is_taken_down_all_the_same(memory: Office) -> None:
    job = await memory.ended(await memory.request())
    assert (job.status, job.takedown and job.takedown.removed) == ("done", ())
    assert await memory.takedowns.is_taken_down(ORIGINAL)


async def test_a_missing_permission_is_named_and_nothing_is_removed(memory: Office) -> None:
    await memory.fill(*NAMES)
    memory.purger.refused = "cloudfront:CreateInvalidation"
    with pytest.raises(CdnPurgeRefused, match="cloudfront:CreateInvalidation"):
        await memory.request()
    Unversioned.may_list_versions = False
    try:
        with pytest.raises(PermissionMissing, match="needs the permission s3:ListBucketVersions"):
            await memory.request()
    finally:
        Unversioned.may_list_versions = True
    assert await memory.left() == {*NAMES}
    assert not await memory.takedowns.is_taken_down(ORIGINAL)


@pytest.mark.parametrize("is_still_refusing", [True, False])
async def test_a_store_that_refuses_everything_is_no_missing_permission(
    render_pool: RenderPool, policy: GenerationPolicy, tmp_path: Path, *, is_still_refusing: bool
) -> None:
    store = Unversioned()
    store.may_list_versions = False

    async def judge(_: StoreError) -> StoreError | None:
        store.may_list_versions = True
        return StoreRefused("The policy allows nothing.") if is_still_refusing else None

    async with office(store, render_pool, policy, tmp_path, judge=judge) as one:
        if is_still_refusing:
            with pytest.raises(StoreRefused, match="allows nothing"):
                await one.request()
        else:
            assert (await one.request()).status == "queued"


async def test_it_is_retried_until_the_cdn_has_dropped_its_copies(memory: Office) -> None:
    await memory.fill(*NAMES)
    assert await statuses_of(memory, *NAMES) == {200}
    memory.purger.failures = 3
    job = await memory.ended(await memory.request())
    assert (job.status, await statuses_of(memory, *NAMES)) == ("done", {404})


async def test_what_a_cache_serves_again_is_purged_again(memory: Office) -> None:
    await memory.fill(ORIGINAL)

    async def cache() -> None:
        """Stand for a request that reads the original just before it is removed, and reaches the cache late."""
        kept = memory.cdn.kept
        memory.cdn.kept = Stubborn(kept | {ORIGINAL: b"a picture"})

    store = cast("Unversioned", memory.store)
    store.before_delete = cache
    job = await memory.ended(await memory.request())
    assert (job.status, await statuses_of(memory, ORIGINAL)) == ("done", {404})
    assert memory.purger.purged.count(f"{memory.cdn.url}/{ORIGINAL}") == 2


class Stubborn(dict[str, bytes]):
    """A cache in which the first purge of a key has no effect."""

    is_purged = False

    def pop(self, key: str, default: object = None) -> object:  # type: ignore[override] # all that is called
        if not self.is_purged:
            self.is_purged = True
            return None
        return super().pop(key, default)


async def test_it_does_not_end_while_other_processes_may_have_the_picture_in_memory(
    render_pool: RenderPool, policy: GenerationPolicy, tmp_path: Path
) -> None:
    async with office(Unversioned(), render_pool, policy, tmp_path, settle_seconds=0.5) as one:
        await one.fill(ORIGINAL)
        job = await one.ended(await one.request())
        assert job.status == "done"
        assert job.started_at is not None
        assert job.finished_at is not None
        assert (job.finished_at - cast("datetime", job.created_at)).total_seconds() > 0.4
        assert job.attempts <= 2  # the second one when they have forgotten it, not one that comes later by chance


async def test_an_upload_without_an_order_during_a_takedown_is_removed_too(memory: Office) -> None:
    await memory.fill(ORIGINAL)
    store = cast("Unversioned", memory.store)
    store.before_delete = lambda: memory.fill("gall/58/58_1_large.jpg")
    job = await memory.ended(await memory.request())
    assert (job.status, await memory.left()) == ("done", set())


async def test_a_render_that_is_underway_brings_nothing_back(memory: Office, photo: Path) -> None:
    await memory.store.put(ORIGINAL, photo, PICTURE)
    running = asyncio.create_task(memory.derivatives.generate(ORIGINAL))
    await asyncio.sleep(0)
    job = await memory.ended(await memory.request())
    made = await running
    assert (job.status, await memory.left()) == ("done", set())
    assert made.fault is None or isinstance(made.fault, NotFound)


async def test_what_is_stored_after_a_takedown_goes_again_also_from_the_cdn(memory: Office, photo: Path) -> None:
    async def take_down() -> None:
        assert (await memory.ended(await memory.request())).status == "done"

    async def visit(key: str) -> None:
        if await statuses_of(memory, key) == {200}:  # other sizes are stored before, and are gone again
            visited.append(key)

    visited: list[str] = []
    store = cast("Unversioned", memory.store)
    await store.put(ORIGINAL, photo, PICTURE)
    store.before_put, store.after_put = take_down, visit
    await memory.straggler.generate(ORIGINAL)
    assert visited
    assert await memory.left() == set()
    assert await statuses_of(memory, ORIGINAL, *visited) == {404}


@pytest.mark.parametrize(("failures", "logged"), [(1, []), (PURGE_TRIES, ["cdn-purge-failed"])])
async def test_a_purge_after_a_late_write_is_tried_again_and_then_logged(
    memory: Office, photo: Path, failures: int, logged: list[str]
) -> None:
    async def take_down() -> None:
        await memory.ended(await memory.request())
        memory.purger.failures = failures

    store = cast("Unversioned", memory.store)
    await store.put(ORIGINAL, photo, PICTURE)
    store.before_put = take_down
    with structlog.testing.capture_logs() as logs:
        await memory.straggler.generate(ORIGINAL)
    assert [line["code"] for line in logs if line["event"] == "derivatives_not_deleted"] == logged
    assert await memory.left() == set()


async def test_page_views_and_waiting_jobs_render_nothing_of_what_is_there_again(memory: Office, photo: Path) -> None:
    """The original may be there again: by an upload URL that was still valid, without an order for it."""
    waiting = await memory.jobs.submit(JobRequest(key=ORIGINAL), posted_at=AT - 1)
    await memory.ended(await memory.request())
    ended = await memory.jobs.get(waiting.id)
    assert (ended.status, ended.error and ended.error.code) == ("error", "taken-down")
    await memory.store.put(ORIGINAL, photo, PICTURE)
    with pytest.raises(TakenDown):
        await memory.derivatives.locate(ORIGINAL, "small")
    assert await memory.left() == {ORIGINAL}
    posted = await memory.jobs.submit(JobRequest(key=ORIGINAL), posted_at=AT + 1)
    assert (await memory.ended(posted)).status == "done"
    assert len(await memory.left()) == 4


async def test_a_job_that_a_dead_machine_left_half_done_leaves_nothing(memory: Office) -> None:
    """Its derivatives were put after the takedown looked for the last time."""
    waiting = await memory.jobs.submit(JobRequest(key=ORIGINAL), posted_at=AT - 1)
    await memory.jobs.tombstones.add(ORIGINAL, Tombstone(at=AT, job_id="0" * 32))
    await memory.fill("gall/58/58_1_small.jpg")
    assert (await memory.ended(waiting)).status == "error"
    assert await memory.left() == set()


async def test_a_takedown_continues_where_a_process_died(memory: Office) -> None:
    await memory.fill(*NAMES)
    job = await memory.request()
    store = cast("Unversioned", memory.store)

    async def die() -> None:
        raise asyncio.CancelledError

    store.before_delete = die
    taken = await take(memory.queue)
    with pytest.raises(asyncio.CancelledError):
        await memory.takedowns.take_down(cast("Context", {"job": taken}), **(taken.kwargs or {}))
    await memory.queue.retry(taken, "its process died")
    ended = await memory.ended(job)
    assert (ended.status, await memory.left()) == ("done", set())
    assert ended.takedown is not None
    assert {one.key: one.bytes for one in ended.takedown.removed} == dict.fromkeys(NAMES, 9)
