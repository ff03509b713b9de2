"""SAQ's queue on PostgreSQL, hardened for use by several machines."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL
from saq.job import TERMINAL_STATUSES
from saq.queue.postgres import PostgresQueue as SaqPostgresQueue
from saq.utils import now_seconds

from proxy.errors import QueueUnavailable
from proxy.queues.circuit_breaker import CircuitBreaker, OutageGuard
from proxy.queues.postgres_connection import CONNECTIONS, Connection, ConnectionPool, Listener
from proxy.queues.server_queue import ServerQueue, Stored

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool
    from saq.job import Job

_LINK = {
    "connect_timeout": 4,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Connection options with which libpq detects a lost server within seconds; by default it takes hours.

All values are in seconds, except `tcp_user_timeout`, which is in milliseconds.
"""

_STARTING = 0x67666A71
"""The advisory lock held while the tables are created. SAQ's own lock does not wait for another machine's creation."""

_FACTS = """
CREATE TABLE IF NOT EXISTS images_facts (
    queue TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    expires TIMESTAMPTZ,
    PRIMARY KEY (queue, name)
)
"""
"""Our own table beside SAQ's; see `JobQueue.remember`."""

STARTING_SECONDS = 30.0
"""How long to wait for another machine to create the tables."""


def _is_denied(error: Exception) -> bool:
    """Return whether the password, user or database was rejected, as opposed to the server being down.

    The message has to be searched: libpq provides no error code while it connects.
    """
    said = str(error)
    return "FATAL:" in said and "connection failed:" in said and "the database system is" not in said


class PostgresQueue(ServerQueue, SaqPostgresQueue):
    """A queue in the PostgreSQL database at `url`; job keys are unique in the database, not only in the queue."""

    def __init__(self, url: str, *, name: str = "default") -> None:
        self._breaker = CircuitBreaker(
            "PostgreSQL", errors=psycopg.Error, unreachable=(psycopg.OperationalError,), denied=_is_denied
        )
        self._link = make_conninfo(url, **_LINK)
        pool = cast(
            "AsyncConnectionPool", ConnectionPool(self._link, self._breaker)
        )  # SAQ's annotation allows only a pool of plain connections
        SaqPostgresQueue.__init__(
            self, pool=pool, name=name, min_size=1, max_size=CONNECTIONS, manage_pool_lifecycle=True
        )
        self._listener = Listener(pool, self._channel)
        self._outage_guard = OutageGuard()

    def __repr__(self) -> str:
        return f"PostgresQueue<name={self.name!r}>"

    async def connect(self) -> None:
        """Connect, and create the tables if they are missing.

        Raises:
            QueueUnavailable: the server does not answer or rejects the login; the message quotes the server's.
        """
        with self._breaker.guarded():
            async with await Connection.connect(self._link, autocommit=True) as starting:
                starting.patience_seconds = STARTING_SECONDS
                await starting.execute("SELECT pg_advisory_lock(%s)", [_STARTING])
                await starting.execute(_FACTS)
                await super().connect()

    async def disconnect(self) -> None:
        """Requeue jobs that were fetched but not started, then close every connection."""
        with suppress(QueueUnavailable):
            while not self._job_queue.empty():
                await self.retry(self._job_queue.get_nowait(), None)
        await super().disconnect()

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109 - SAQ's signature
        """Return the next job; None if none arrives within `timeout` seconds (0: wait forever)."""
        async with self._outage_guard.pausing():
            return await super().dequeue(timeout, poll_interval)

    async def remember(self, name: str, value: str, *, seconds: float | None = None) -> str:
        """Store a value under a name; see `JobQueue.remember`."""
        question = (
            "INSERT INTO images_facts VALUES (%s, %s, %s, now() + %s * interval '1 second') ON CONFLICT DO NOTHING"
        )
        async with self.pool.connection() as connection:
            await connection.execute(question, [self.name, name, value, seconds])
        return await self.recall(name) or value

    async def recall(self, name: str) -> str | None:
        """Return the value under a name; see `JobQueue.recall`."""
        question = "SELECT value FROM images_facts WHERE queue = %s AND name = %s"
        async with self.pool.connection() as connection:
            found = await (await connection.execute(question, [self.name, name])).fetchone()
        return found[0] if found else None

    async def forget(self, name: str) -> bool:
        """Remove the value under a name; see `JobQueue.forget`."""
        question = "DELETE FROM images_facts WHERE queue = %s AND name = %s"
        async with self.pool.connection() as connection:
            done = await connection.execute(question, [self.name, name])
        return done.rowcount == 1

    async def _dequeue(self) -> None:
        if await self.paused_since() is None:
            await super()._dequeue()

    async def _enqueue(self, job: Job) -> Job | None:
        queued = await super()._enqueue(job)
        if queued is None and (ended := await self.job(job.key)) and ended.status in TERMINAL_STATUSES:
            # SAQ reuses the key of an ended job only if the new `scheduled` (whole seconds) is later than the old one.
            job.scheduled = max(job.scheduled, ended.scheduled + 1)
            queued = await super()._enqueue(job)
        return queued

    async def _stored(self, key: str) -> Stored | None:
        found = await self._select(SQL("key = %(key)s"), {"key": key})
        return found[0] if found else None

    async def _unreachable(self) -> list[Stored]:
        async with self.pool.connection() as connection:
            ended = SQL(
                "DELETE FROM {} WHERE queue = %s AND status IN ('aborted', 'complete', 'failed') AND expire_at <= %s"
            )
            await connection.execute(ended.format(self.jobs_table), [self.name, now_seconds()])
            reports = SQL("DELETE FROM {} WHERE expire_at <= %s")
            await connection.execute(reports.format(self.stats_table), [now_seconds()])
            await connection.execute("DELETE FROM images_facts WHERE expires <= now()")
        active = await self._select(SQL("status IN ('active', 'aborting')"), {})
        return [stored for stored in active if stored.job.stuck]

    async def _select(self, condition: SQL, values: dict[str, str]) -> list[Stored]:
        question = SQL("SELECT job, status FROM {} WHERE queue = %(queue)s AND {}").format(self.jobs_table, condition)
        async with self.pool.connection() as connection:
            found = await (await connection.execute(question, {"queue": self.name, **values})).fetchall()
        return [Stored(job, body) for body, status in found if (job := self.deserialize(body, status))]

    async def _swap(self, stored: Stored, job: Job) -> bool:
        question = SQL(
            "UPDATE {} SET job = %s, status = %s, scheduled = %s"
            " WHERE key = %s AND queue = %s AND job = %s AND status = %s"
        ).format(self.jobs_table)
        values = [self.serialize(job), job.status.value, job.scheduled, job.key, self.name]
        async with self.pool.connection() as connection:
            done = await connection.execute(question, [*values, stored.body, stored.job.status.value])
        return done.rowcount == 1

    async def _put_back(self, stored: Stored, job: Job) -> bool:
        return await self._swap(stored, job)  # first in the queue: that is ordered by `scheduled`, which is long past

    async def _end(self, stored: Stored, job: Job) -> bool:
        if job.ttl < 0:
            change = SQL(
                "DELETE FROM {} WHERE key = %(key)s AND queue = %(queue)s AND job = %(before)s AND status = %(was)s"
            )
        else:
            change = SQL(
                "UPDATE {} SET job = %(job)s, status = %(status)s, scheduled = %(scheduled)s, expire_at = %(until)s"
                " WHERE key = %(key)s AND queue = %(queue)s AND job = %(before)s AND status = %(was)s"
            )
        values = {
            "job": self.serialize(job),
            "status": job.status.value,
            "scheduled": job.scheduled,  # as SAQ stores it: `_enqueue` compares it when the key is used again
            "until": now_seconds() + job.ttl if job.ttl > 0 else None,
            "key": job.key,
            "queue": self.name,
            "before": stored.body,
            "was": stored.job.status.value,
        }
        async with self.pool.connection() as connection:
            done = await connection.execute(change.format(self.jobs_table), values)
        return done.rowcount == 1
