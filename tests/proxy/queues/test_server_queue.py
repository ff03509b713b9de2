"""The guarantees of the queues on servers, beyond the common contract."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, cast

import psycopg
import pytest
from psycopg.sql import SQL
from saq.job import Status
from saq.queue.postgres import ENQUEUE

from proxy.errors import QueueUnavailable
from proxy.queues import circuit_breaker, postgres_connection
from proxy.queues.factory import open_queue
from proxy.queues.postgres_connection import CONNECTIONS, Listener
from tests import servers
from tests.proxy.queues.asking import take
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from proxy.queues.base import JobQueue
    from proxy.queues.postgres import PostgresQueue
    from tests.servers import PostgresServer, RedisServer

HANG_SECONDS = 5
"""The timeout of the queue's check in `/readyz`."""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.needs("redis-server", "redis-server"),
    pytest.mark.needs("postgres", "postgresql"),
]


async def test_redis_leaves_a_job_alone_that_is_just_being_begun(redis_server: RedisServer) -> None:
    url = redis_server.make_database()
    queue, sweeper = open_queue(url, name="images"), open_queue(url, name="images")
    await queue.enqueue("paint", key="a", retries=2)
    assert await queue.dequeue(timeout=1) is not None
    assert await sweeper.sweep() == []
    assert len(await sweeper.sweep()) == 1  # unchanged since the first sweep: its worker died before starting it
    assert (await take(queue)).key == "a"
    for one in (queue, sweeper):
        await one.disconnect()


async def test_machines_that_start_together_share_new_tables(postgres_server: PostgresServer) -> None:
    url = postgres_server.make_database()
    queues = [open_queue(url, name="images") for _ in range(5)]
    await asyncio.gather(*(queue.connect() for queue in queues))
    await queues[0].enqueue("paint", key="a")
    assert [await queue.count("queued") for queue in queues] == [1] * 5
    for queue in queues:
        await queue.disconnect()


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_lost_server_is_our_error_everywhere_and_is_used_again_when_it_is_back(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "PAUSE_SECONDS", 0.01)
    with servers.running_redis() if kind == "redis" else servers.running_postgres() as server:
        queue = open_queue(server.make_database(), name="images")
        await queue.connect()
        await queue.enqueue("paint", key="a", heartbeat=30)
        job = await take(queue)
        server.kill()
        for ask in (
            lambda: queue.enqueue("paint", key="b"),
            lambda: queue.dequeue(timeout=0.1),
            lambda: queue.info(jobs=True),
            lambda: queue.count("queued"),
            lambda: queue.job("a"),
            lambda: queue.jobs(["a"]),
            lambda: queue.touch(job),
            job.update,
            lambda: job.retry("again"),
            queue.schedule,
            queue.sweep,
        ):
            if ask == queue.schedule and kind == "postgres":
                continue  # contacts the server only while a worker waits for a job
            with pytest.raises(QueueUnavailable, match="is not responding"):
                await ask()
        server.start()
        await until(lambda: is_back(queue))
        assert await queue.job("a") is not None
        assert await queue.enqueue("paint", key="b") is not None
        await queue.disconnect()


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_server_that_hangs_costs_callers_seconds_and_is_used_again_when_it_answers(kind: str) -> None:
    with servers.running_redis() if kind == "redis" else servers.running_postgres() as server:
        queue = open_queue(server.make_database(), name="images")
        await queue.connect()
        waiting = asyncio.create_task(queue.dequeue(timeout=60))
        await queue.enqueue("paint", key="a")
        assert await waiting is not None
        with hanging(server):
            asked = [asyncio.create_task(queue.job("a")) for _ in range(30)]
            async with asyncio.timeout(HANG_SECONDS):
                told = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(answer) for answer in told} == {QueueUnavailable}
        await until(lambda: is_back(queue))
        assert (await queue.enqueue("paint", key="b")) is not None
        assert (await take(queue)).key == "b"
        await queue.disconnect()


@asynccontextmanager
async def all_connections_in_use(queue: JobQueue) -> AsyncIterator[None]:
    """Use every connection to PostgreSQL that a process may have within the block."""
    async with AsyncExitStack() as in_use:
        for _ in range(CONNECTIONS):
            await in_use.enter_async_context(cast("PostgresQueue", queue).pool.connection())
        yield


async def test_a_busy_process_does_not_take_its_server_for_one_that_is_down(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "LINK_SECONDS", 0.5)
    queue = open_queue(postgres_server.make_database(), name="images")
    await queue.connect()
    async with all_connections_in_use(queue):
        waiting = [asyncio.create_task(queue.job("a")) for _ in range(20)]
        await asyncio.sleep(2 * postgres_connection.LINK_SECONDS)
        assert not any(task.done() for task in waiting)
    assert await asyncio.gather(*waiting) == [None] * 20
    await queue.disconnect()


async def test_a_call_that_no_other_makes_room_for_names_the_reason(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "FREE_SECONDS", 0.05)
    queue = open_queue(postgres_server.make_database(), name="images")
    await queue.connect()
    async with all_connections_in_use(queue):
        with pytest.raises(QueueUnavailable, match="all 10 connections to PostgreSQL are in use"):
            await queue.job("a")
    assert await queue.job("a") is None  # the breaker did not open
    await queue.disconnect()


async def test_a_process_that_is_stopped_within_a_transaction_does_not_hold_its_locks_for_long(
    postgres_server: PostgresServer,
) -> None:
    queue = open_queue(postgres_server.make_database(), name="images")
    await queue.connect()
    job = await queue.enqueue("paint", key="a")
    assert job is not None
    stopped = cast("PostgresQueue", queue)

    async def go_on_too_late() -> None:
        async with stopped.pool.connection() as link, link.transaction():
            await link.execute(SQL("UPDATE {} SET scheduled = scheduled").format(stopped.jobs_table))
            await queue.finish(job, Status.COMPLETE)  # waits for the lock that the statement above holds on the row
            await link.execute("SELECT 1")

    with pytest.raises(QueueUnavailable, match="idle-in-transaction timeout"):
        await go_on_too_late()
    await queue.disconnect()


async def test_one_who_begins_to_listen_looks_for_what_came_in_the_meantime(postgres_server: PostgresServer) -> None:
    queue = open_queue(postgres_server.make_database(), name="images")
    await queue.connect()
    listener = Listener(cast("PostgresQueue", queue).pool, "a channel on which nobody speaks")
    async with aclosing(listener.listen(ENQUEUE, timeout=10)) as words:
        assert await anext(words) == ENQUEUE
    await queue.disconnect()


async def test_a_server_that_lets_nobody_in_is_told_from_one_that_is_away(
    redis_server: RedisServer, postgres_server: PostgresServer
) -> None:
    redis, postgres = redis_server.make_database(), postgres_server.make_database()
    for url in (redis.replace("://", "://:hunter2@"), f"{postgres}_away", postgres.replace("images@", "nobody@")):
        queue = open_queue(url, name="images")
        with pytest.raises(QueueUnavailable, match="rejected the credentials") as refusal:
            await queue.connect()
        assert "hunter2" not in str(refusal.value)
        await queue.disconnect()


async def test_a_postgresql_without_a_connection_left_is_not_said_to_reject_the_credentials(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.make_database()
    with psycopg.connect(url, autocommit=True) as connection, ExitStack() as others:
        connection.execute("DROP ROLE IF EXISTS painter")
        connection.execute("CREATE ROLE painter LOGIN CONNECTION LIMIT 0")
        for user in ("painter", "images"):
            if user == "images":  # a superuser, who has no limit but the server's
                with suppress(psycopg.OperationalError):
                    while True:
                        others.enter_context(psycopg.connect(url))
            queue = open_queue(url.replace("images@", f"{user}@"), name="images")
            with pytest.raises(QueueUnavailable, match=r"is not responding: .*too many"):
                await queue.connect()
            await queue.disconnect()


async def test_a_redis_that_takes_nothing_more_is_found_out_although_it_answers() -> None:
    with servers.running_redis() as server:
        queue = open_queue(server.make_database(), name="images")
        await queue.connect()
        await queue.redis.config_set("min-replicas-to-write", 1)  # type: ignore[attr-defined] # it is a RedisQueue
        assert await queue.count("queued") == 0
        with pytest.raises(QueueUnavailable, match="rejected the call"):
            await queue.check()
        await queue.disconnect()


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_queue_can_be_left_while_its_server_hangs(kind: str) -> None:
    with servers.running_redis() if kind == "redis" else servers.running_postgres() as server:
        queue = open_queue(server.make_database(), name="images")
        await queue.connect()
        listening = asyncio.create_task(queue.dequeue(timeout=60))
        await until(lambda: is_back(queue))
        with hanging(server):
            async with asyncio.timeout(15):
                listening.cancel()
                # It may have started to open another connection, which can no longer succeed.
                await asyncio.gather(listening, return_exceptions=True)
                await queue.disconnect()


@contextmanager
def hanging(server: RedisServer | PostgresServer) -> Iterator[None]:
    """Suspend a server for the duration of the block; its kernel still accepts packets."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


async def is_back(queue: JobQueue) -> bool:
    with suppress(QueueUnavailable):
        await queue.count("queued")
        return True
    return False


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_queue_can_be_left_while_its_server_is_away(kind: str) -> None:
    with servers.running_redis() if kind == "redis" else servers.running_postgres() as server:
        queue = open_queue(server.make_database(), name="images")
        await queue.connect()
        server.kill()
        async with asyncio.timeout(15):
            await queue.disconnect()
        server.start()
