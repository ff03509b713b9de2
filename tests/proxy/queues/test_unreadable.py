"""Stored jobs that cannot be read: they are set aside, and the rest goes on, on every queue."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, cast

import pytest
import structlog
from psycopg.sql import SQL
from saq import Status

from proxy import metrics
from proxy.derivatives.recipe import Recipe
from proxy.jobs.listing import ListJobs
from proxy.jobs.request import JobRequest
from proxy.jobs.service import JobService
from proxy.keys.addresses import PublicAddresses
from proxy.keys.layouts import SiteLayout
from proxy.queues.postgres import PostgresQueue
from proxy.queues.readable import read_fields
from proxy.queues.redis import RedisQueue
from proxy.queues.sqlite.queue import SqliteQueue
from proxy.webhooks.allowlist import parse_allow_list
from proxy.webhooks.outbox import Callback, Outbox
from tests.proxy.conftest import ORIGINAL, SIZES
from tests.proxy.queues.asking import counts, stored, take, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from structlog.typing import EventDict

    from proxy.queues.base import JobQueue
    from tests.proxy.queues.conftest import Another
    from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

HUGE = 10**30


def changed(**fields: object) -> Callable[[bytes], bytes]:
    """Return a change of a stored job: each field gets a value, or is removed if that is `...`."""

    def change(body: bytes) -> bytes:
        job = json.loads(body) | fields
        return json.dumps({name: value for name, value in job.items() if value is not ...}).encode()

    return change


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "no JSON": lambda _: b"{",
    "no UTF-8": lambda body: body.replace(b"red", b"\xff\xfe"),
    "no object": lambda _: b"[]",
    "a text": lambda _: b'"paint"',
    "nothing in it": lambda _: b"{}",
    "nested without end": lambda _: b'{"a":' * 100_000,
    "a field of another version": lambda body: body.replace(b'"retries"', b'"retriez"'),
    "no function": changed(function=...),
    "a function that is no text": changed(function=7),
    "arguments that are no object": changed(kwargs=["red"]),
    "another queue's": changed(queue="other"),
    "another job's": changed(key="b"),
    "an unknown status": changed(status="painted"),
    "no time": changed(queued=...),
    "a time beyond all dates": changed(queued=HUGE),
    "a wait that is no number": changed(retry_delay=float("nan")),
    "a negative timeout": changed(timeout=-1),
    "metadata that are no object": changed(meta=3),
}


class Rows:
    """Access to the bytes of stored jobs, as another program has it."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    async def change(self, key: str, change: Callable[[bytes], bytes]) -> None:
        """Change the bytes of a job."""
        queue = self._queue
        if isinstance(queue, RedisQueue):
            job_id = queue.job_id(key)
            await queue.redis.set(job_id, change(cast("bytes", await queue.redis.get(job_id))))
        elif isinstance(queue, PostgresQueue):
            async with queue.pool.connection() as connection:
                found = await connection.execute(SQL("SELECT job FROM saq_jobs WHERE key = %s"), [key])
                (body,) = cast("tuple[bytes]", await found.fetchone())
                await connection.execute(SQL("UPDATE saq_jobs SET job = %s WHERE key = %s"), [change(body), key])
        else:
            with closing(sqlite3.connect(path_of(queue), isolation_level=None)) as connection:
                ((text,),) = connection.execute("SELECT body FROM jobs WHERE key = ?", (key,)).fetchall()
                body = change(text.encode())
                connection.execute("UPDATE jobs SET body = CAST(? AS TEXT) WHERE key = ?", (body, key))

    async def kept(self) -> list[bytes]:
        """Return the bytes of the jobs that were set aside."""
        queue = self._queue
        if isinstance(queue, RedisQueue):
            return list((await queue.redis.hgetall("saq:images:set-aside")).values())  # type: ignore[misc] # not typed
        if isinstance(queue, PostgresQueue):
            async with queue.pool.connection() as connection:
                found = await connection.execute(SQL("SELECT job FROM images_set_aside"))
                return [body for (body,) in await found.fetchall()]
        with closing(sqlite3.connect(path_of(queue))) as connection:
            connection.text_factory = bytes
            return [body for (body,) in connection.execute("SELECT body FROM set_aside")]


def path_of(queue: JobQueue) -> Path:
    assert isinstance(queue, SqliteQueue)
    return queue._path  # noqa: SLF001 - what another program would be told


@pytest.fixture
def events() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as logged:
        yield logged


def set_aside(events: list[EventDict]) -> list[str]:
    """Return the keys of the jobs that the log says were set aside."""
    return [event["job_id"] for event in events if event["event"] == "job_set_aside"]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_an_unreadable_job_is_set_aside_with_its_bytes_and_the_rest_goes_on(
    queue: JobQueue, change: Callable[[bytes], bytes], events: list[EventDict]
) -> None:
    counted = metrics.jobs_set_aside_total.labels(queue.name)._value.get()  # noqa: SLF001 - no public name
    for key in ("a", "b"):
        await queue.enqueue("paint", key=key, retries=3, colour="red")
    await Rows(queue).change("a", change)
    assert (await take(queue)).key == "b"
    assert set_aside(events) == ["a"]
    assert metrics.jobs_set_aside_total.labels(queue.name)._value.get() == counted + 1  # noqa: SLF001 - as above
    assert len(await Rows(queue).kept()) == 1
    assert await counts(queue) == (0, 1, 1)
    assert await queue.job("a") is None
    assert await queue.enqueue("paint", key="a") is not None, "its key is free again"
    assert (await take(queue)).key == "a"


async def test_an_unreadable_job_does_not_exist_for_readers(queue: JobQueue, events: list[EventDict]) -> None:
    for key in ("a", "b", "c"):
        await queue.enqueue("paint", key=key)
    await (await take(queue)).finish(Status.COMPLETE)
    for key in ("a", "b"):
        await Rows(queue).change(key, CHANGES["no JSON"])
    assert await queue.job("b") is None
    assert [job and job.key for job in await queue.jobs(["a", "b", "c"])] == [None, None, "c"]
    assert [job.key async for job in queue.iter_jobs()] == ["c"]
    assert [job["key"] for job in (await queue.info(jobs=True))["jobs"]] == ["c"]
    assert "c" in (await queue.snapshot(set(), limit=10)).new
    await queue.check()
    assert set_aside(events) == [], "only who takes it sets it aside"


async def test_an_unreadable_job_that_runs_is_left_to_its_worker_until_that_is_silent(
    queue: JobQueue, another: Another, events: list[EventDict]
) -> None:
    await queue.enqueue("paint", key="a", retries=3)
    await take(queue)
    sweeper = await another()
    clock = watch(sweeper)
    await sweeper.sweep(abort=0.1)
    for number in range(5):  # a newer version's heartbeats
        await Rows(queue).change("a", changed(of_a_newer_version=number))
        assert await sweeper.sweep(abort=0.1) == []
        clock.seconds += 5
    assert set_aside(events) == []
    clock.seconds += 3600
    assert await sweeper.sweep(abort=0.1) == []
    if not isinstance(queue, SqliteQueue):  # there, a process that lives is known by its lock
        assert set_aside(events) == ["a"]


async def test_an_unreadable_job_whose_process_is_dead_is_set_aside(another: Another, events: list[EventDict]) -> None:
    here, there = await another(), await another()
    await here.enqueue("paint", key="a", retries=3)
    await take(here)
    await Rows(here).change("a", CHANGES["no JSON"])
    await here.disconnect()
    clock = watch(there)
    for _ in range(2):
        await there.sweep(abort=0.1)
        clock.seconds += 3600
    assert set_aside(events) == ["a"]
    assert await counts(there) == (0, 0, 0)


async def test_a_job_that_was_set_aside_is_queued_again_by_a_version_that_can_read_it(
    make_queue: Callable[[], JobQueue], another: Another, events: list[EventDict]
) -> None:
    old = await another()
    old.expect("paint", lambda _: None)
    await old.enqueue("varnish", key="a", colour="red", retries=3)
    assert await old.dequeue(timeout=0.1) is None
    assert set_aside(events) == ["a"]
    new = make_queue()
    new.expect("varnish", lambda _: None)
    await new.connect()
    job = await take(new)
    assert (job.key, job.kwargs) == ("a", {"colour": "red"})
    assert [event["job_id"] for event in events if event["event"] == "job_taken_back"] == ["a"]
    assert await Rows(new).kept() == []
    await job.finish(Status.COMPLETE)
    assert (await stored(new, "a")).status == Status.COMPLETE
    await new.disconnect()


@pytest.mark.needs("redis-server", "redis-server")
async def test_a_key_of_a_job_in_redis_that_holds_no_text_stops_no_other_job(redis_server: RedisServer) -> None:
    queue = RedisQueue(redis_server.make_database(), name="images")
    await queue.connect()
    for key in ("a", "b"):
        await queue.enqueue("paint", key=key)
    await queue.redis.delete(queue.job_id("a"))
    await queue.redis.lpush(queue.job_id("a"), "no", "text")  # type: ignore[misc] # not typed
    assert (await take(queue)).key == "b"
    assert await queue.job("a") is None
    await queue.sweep()
    assert await counts(queue) == (0, 1, 1)
    await queue.disconnect()


# Jobs and callbacks, whose arguments are checked as well


@pytest.fixture
def outbox(queue: JobQueue) -> Outbox:
    return Outbox(queue=queue, allow_list=parse_allow_list(["example.org"]), keep_seconds=600)


@pytest.fixture
def jobs(queue: JobQueue, outbox: Outbox) -> JobService:
    recipe = Recipe(sizes=SIZES, layout=SiteLayout(sizes=tuple(size.name for size in SIZES)), cache_control="")
    return JobService(
        queue=queue, outbox=outbox, recipe=recipe, addresses=PublicAddresses("/files"), queue_size=64, keep_seconds=600
    )


@pytest.mark.parametrize(
    "change",
    [
        changed(kwargs={}),
        changed(kwargs={"key": 7}),
        changed(kwargs={"key": "gall/1/1_1_original.jpg", "sizes": "small"}),
        changed(result={"derivatives": [{}]}),
        changed(meta={"tries": ["not-found"]}),
        changed(meta={"replays": 3}),
        changed(function="varnish"),
        changed(function="deliver"),
    ],
)
async def test_a_job_with_an_unreadable_order_hides_no_other_job(
    queue: JobQueue, jobs: JobService, change: Callable[[bytes], bytes], events: list[EventDict]
) -> None:
    bad, good = (
        await jobs.submit(JobRequest(key="gall/1/1_1_original.jpg")),
        await jobs.submit(JobRequest(key=ORIGINAL)),
    )
    await Rows(queue).change(bad.id, change)
    await jobs.check()
    assert [job.id for job in (await jobs.page(ListJobs(limit=10))).jobs] == [good.id]
    assert (await jobs.submit(JobRequest(key=ORIGINAL))).id == good.id
    assert (await jobs.submit(JobRequest(key="gall/1/1_1_original.jpg"))).id != bad.id
    assert (await take(queue)).key == good.id
    assert set_aside(events) == [bad.id]


async def test_an_unreadable_callback_holds_up_no_other(
    queue: JobQueue, outbox: Outbox, events: list[EventDict]
) -> None:
    for name in ("a", "b"):
        await outbox.enqueue_callback(Callback(id=name, url="https://example.org/", body="{}"))
    await Rows(queue).change("callback:a", changed(kwargs={"id": "a"}))
    assert (await take(queue)).key == "callback:b"
    assert set_aside(events) == ["callback:a"]


async def test_an_unreadable_report_of_a_worker_is_ignored(queue: JobQueue, tmp_path: Path) -> None:
    if not isinstance(queue, SqliteQueue):
        pytest.skip("reports on servers expire within a minute, and only workers write them")
    await queue.worker_info("good", queue_key=queue.name, metadata={})
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO workers VALUES (?, 'bad', '{', 1e12), (?, 'worse', '[]', 1e12)", ["images"] * 2)
    assert list((await queue.snapshot(set(), limit=1)).workers) == ["good"]
    assert list((await queue.info())["workers"]) == ["good"]


def test_what_is_read_of_a_stored_job_is_what_json_reads() -> None:
    meta = '{"half": "\\ud800", "none": NaN, "many": 1e400, "whole": 9e3}'
    body = f'{{"function": "f", "queue": "q", "key": "a", "queued": 1, "meta": {meta}}}'
    assert repr(read_fields(body, key="a")) == repr(json.loads(body))
