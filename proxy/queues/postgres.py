"""SAQ's queue on PostgreSQL, hardened for use by several machines."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL
from saq.job import Status
from saq.queue.base import logger
from saq.queue.postgres import DEQUEUE, ENQUEUE
from saq.queue.postgres import PostgresQueue as SaqPostgresQueue
from saq.utils import now

from proxy.errors import QueueUnavailable
from proxy.queues.base import DEFERRED, SET_ASIDE_DAYS
from proxy.queues.circuit_breaker import CircuitBreaker, OutageGuard
from proxy.queues.postgres_connection import CONNECTIONS, Connection, ConnectionPool, Listener
from proxy.queues.runs import TakenJob
from proxy.queues.server_queue import Broken, ServerQueue, Stored

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

STARTING_SECONDS = 30.0
"""How long to wait for another machine to create the tables."""


_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS images_set_aside (
        key TEXT NOT NULL PRIMARY KEY,
        queue TEXT NOT NULL,
        status TEXT NOT NULL,
        job BYTEA NOT NULL,
        reason TEXT NOT NULL,
        expires TIMESTAMPTZ NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS images_facts (
        queue TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        expires TIMESTAMPTZ,
        PRIMARY KEY (queue, name)
    )
    """,
)
"""Tables of ours, beside those of SAQ."""

_TAKE = """
WITH due AS (
    SELECT key FROM {jobs}
    WHERE status = 'queued' AND queue = %(queue)s AND scheduled <= extract(epoch FROM now())
    ORDER BY scheduled LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE {jobs} AS jobs SET status = 'active' FROM due WHERE jobs.key = due.key RETURNING jobs.key, jobs.job
"""
"""Takes the jobs that are due by the server's clock."""

_HAND_OUT = "UPDATE {jobs} SET job = %(job)s, scheduled = %(scheduled)s WHERE key = %(key)s"

_ENQUEUE = """
INSERT INTO {jobs} AS stored (key, job, queue, status, priority, group_key, scheduled)
VALUES (
    %(key)s, %(job)s, %(queue)s, %(status)s, %(priority)s, %(group_key)s,
    coalesce(nullif(%(scheduled)s, 0), floor(extract(epoch FROM now()))::bigint)
)
ON CONFLICT (key) DO UPDATE SET
    job = excluded.job, queue = excluded.queue, status = excluded.status, priority = excluded.priority,
    group_key = excluded.group_key, scheduled = excluded.scheduled, expire_at = NULL
WHERE stored.status IN ('aborted', 'complete', 'failed')
RETURNING 1
"""

_RETRY = """
UPDATE {jobs} SET job = %(job)s, status = 'queued', scheduled = %(scheduled)s, priority = %(priority)s, expire_at = NULL
WHERE key = %(key)s AND queue = %(queue)s AND job = %(before)s AND status = %(was)s RETURNING key
"""
"""Queues a job again, unless it has changed."""

_MOVE_ASIDE = """
WITH moved AS (DELETE FROM {jobs} WHERE key = %(key)s AND queue = %(queue)s AND job = %(body)s RETURNING *)
INSERT INTO images_set_aside
SELECT key, queue, status, job, %(reason)s, now() + %(days)s * interval '1 day' FROM moved
ON CONFLICT (key) DO UPDATE SET
    queue = excluded.queue, status = excluded.status, job = excluded.job, reason = excluded.reason,
    expires = excluded.expires
"""

_TAKE_BACK = """
WITH kept AS (
    DELETE FROM images_set_aside WHERE key = %(key)s AND NOT EXISTS (SELECT FROM {jobs} WHERE key = %(key)s)
    RETURNING key, queue
)
INSERT INTO {jobs} (key, queue, job, status, scheduled)
SELECT key, queue, %(body)s, 'queued', floor(extract(epoch FROM now()))::bigint FROM kept
"""

_PRUNE = (
    """
    DELETE FROM {jobs} WHERE queue = %(queue)s AND status IN ('aborted', 'complete', 'failed')
    AND expire_at <= extract(epoch FROM now())
    """,
    "DELETE FROM {reports} WHERE expire_at <= extract(epoch FROM now())",
    "DELETE FROM images_set_aside WHERE expires <= now()",
    "DELETE FROM images_facts WHERE expires <= now()",
)

_END = """
UPDATE {jobs} SET
    job = %(job)s, status = %(status)s, expire_at = floor(extract(epoch FROM now()))::bigint + %(seconds)s
WHERE key = %(key)s AND queue = %(queue)s AND job = %(before)s AND status = %(was)s RETURNING key
"""
"""Ends a job, unless it has changed."""

_FORGET = """
DELETE FROM {jobs}
WHERE key = %(key)s AND queue = %(queue)s AND job = %(before)s AND status = %(was)s RETURNING key
"""

_NOT_DENIED = ("the database system is", "too many", "connection slots are reserved")
"""Parts of the messages of a server that starts, stops or has no connection left: a later attempt may succeed."""


def _is_denied(error: Exception) -> bool:
    """Return whether the password, user or database was rejected, as opposed to the server being down.

    The message has to be searched: libpq provides no error code while it connects.
    """
    said = str(error)
    is_refused = "FATAL:" in said and "connection failed:" in said
    return is_refused and not any(passing in said for passing in _NOT_DENIED)


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
                for table in _TABLES:
                    await starting.execute(table)
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

    async def clock(self) -> float:
        """Return the time of the server; see `JobQueue.clock`."""
        ((seconds,),) = await self._execute("SELECT extract(epoch FROM now())::float8")
        return float(seconds)

    async def count_deferred(self) -> int:
        """Return the number of waiting jobs that are deferred; see `JobQueue.count_deferred`."""
        question = (
            "SELECT count(*) FROM {jobs} WHERE queue = %(queue)s AND status = 'queued' AND priority = %(priority)s"
        )
        ((count,),) = await self._execute(question, priority=DEFERRED)
        return int(count)

    async def remember(self, name: str, value: str, *, seconds: float | None = None) -> str:
        """Store a value under a name; see `JobQueue.remember`."""
        question = (
            "INSERT INTO images_facts"
            " VALUES (%(queue)s, %(name)s, %(value)s, now() + %(seconds)s * interval '1 second') ON CONFLICT DO NOTHING"
        )
        await self._execute(question, name=name, value=value, seconds=seconds)
        return await self.recall(name) or value

    async def overwrite(self, name: str, value: str, *, seconds: float) -> None:
        """Store a value under a name, whatever is stored there; see `JobQueue.overwrite`."""
        question = (
            "INSERT INTO images_facts"
            " VALUES (%(queue)s, %(name)s, %(value)s, now() + %(seconds)s * interval '1 second')"
            " ON CONFLICT (queue, name) DO UPDATE SET value = excluded.value, expires = excluded.expires"
        )
        await self._execute(question, name=name, value=value, seconds=seconds)

    async def recall(self, name: str) -> str | None:
        """Return the value under a name; see `JobQueue.recall`."""
        question = "SELECT value FROM images_facts WHERE queue = %(queue)s AND name = %(name)s"
        found = await self._execute(question, name=name)
        return str(found[0][0]) if found else None

    async def forget(self, name: str, *, value: str | None = None) -> bool:
        """Remove the value under a name; see `JobQueue.forget`."""
        question = (
            "DELETE FROM images_facts WHERE queue = %(queue)s AND name = %(name)s"
            " AND value = coalesce(%(value)s::text, value) RETURNING name"
        )
        return bool(await self._execute(question, name=name, value=value))

    async def _dequeue(self) -> None:
        """Take as many jobs that are due as workers wait for, and set aside those that cannot be read."""
        if self._dequeue_lock.locked() or await self.paused_since() is not None:
            return
        async with self._dequeue_lock:
            is_left = True
            while is_left and self._waiting:
                taken, broken = await self._take(self._waiting)
                for job in taken:
                    self._job_queue.put_nowait(job)
                for one in broken:
                    self.report_set_aside(one.key, one.reason)
                is_left = bool(broken) and not taken
            if not self._job_queue.empty():
                await self._notify(DEQUEUE)

    async def _take(self, limit: int) -> tuple[list[Job], list[Broken]]:
        taken: list[Job] = []
        broken: list[Broken] = []
        async with self.pool.connection() as connection, connection.transaction():
            question = SQL(_TAKE).format(jobs=self.jobs_table)
            found = await connection.execute(question, {"queue": self.name, "limit": limit})
            for key, body in await found.fetchall():
                one = self.examine(body, key=key, status=Status.ACTIVE)
                if isinstance(one, Broken):
                    await connection.execute(SQL(_MOVE_ASIDE).format(jobs=self.jobs_table), self._aside(one))
                    broken.append(one)
                    continue
                one.job.started = one.job.touched = now()
                begun = {"key": key, "job": self.serialize(one.job), "scheduled": one.job.scheduled}
                await connection.execute(SQL(_HAND_OUT).format(jobs=self.jobs_table), begun)
                taken.append(TakenJob.of(one.job))
        return taken, broken

    async def _enqueue(self, job: Job) -> Job | None:
        fields = {name: getattr(job, name) for name in ("key", "status", "priority", "group_key", "scheduled")}
        if not await self._execute(_ENQUEUE, job=self.serialize(job), **fields):
            return None
        await self._notify(ENQUEUE)
        logger.info("Enqueuing %s", job.info())
        return job

    async def _stored(self, key: str) -> Stored | None:
        found = [one for one in await self._select(SQL("key = %(key)s"), {"key": key}) if isinstance(one, Stored)]
        return found[0] if found else None

    async def _held(self) -> list[Stored | Broken]:
        for question in _PRUNE:
            await self._execute(question)
        return await self._select(SQL("status IN ('active', 'aborting')"), {})

    async def _move_aside(self, broken: Broken) -> bool:
        async with self.pool.connection() as connection:
            moved = await connection.execute(SQL(_MOVE_ASIDE).format(jobs=self.jobs_table), self._aside(broken))
        return moved.rowcount == 1

    def _aside(self, broken: Broken) -> dict[str, object]:
        values = {"key": broken.key, "body": broken.body, "reason": broken.reason}
        return {"queue": self.name, "days": SET_ASIDE_DAYS, **values}

    async def _kept_aside(self) -> list[tuple[str, bytes]]:
        found = await self._execute("SELECT key, job FROM images_set_aside WHERE queue = %(queue)s")
        return [(str(key), bytes(body)) for key, body in found]

    async def _take_back(self, kept: Stored) -> bool:
        values = {"key": kept.job.key, "body": self.serialize(kept.job)}
        async with self.pool.connection() as connection:
            moved = await connection.execute(SQL(_TAKE_BACK).format(jobs=self.jobs_table), values)
        return moved.rowcount == 1

    async def _execute(self, question: LiteralString, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement with the name of the queue and these values; return its rows, if it has any."""
        statement = SQL(question).format(jobs=self.jobs_table, reports=self.stats_table)
        async with self.pool.connection() as connection:
            done = await connection.execute(statement, {"queue": self.name, **values})
            return await done.fetchall() if done.description else []

    async def _select(self, condition: SQL, values: dict[str, str]) -> list[Stored | Broken]:
        question = SQL("SELECT key, job, status FROM {} WHERE queue = %(queue)s AND {}").format(
            self.jobs_table, condition
        )
        async with self.pool.connection() as connection:
            found = await (await connection.execute(question, {"queue": self.name, **values})).fetchall()
        return [self.examine(body, key=key, status=status) for key, body, status in found]

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

    async def _put_off(self, stored: Stored, job: Job, due: float) -> bool:
        values = {"key": job.key, "job": self.serialize(job), "priority": job.priority}
        scheduled = int(due or await self.clock())
        return bool(await self._execute(_RETRY, scheduled=scheduled, **values, **_before(stored)))

    async def _end(self, stored: Stored, job: Job, *, is_held: bool) -> bool:  # noqa: ARG002 - a job that is held has its status
        values = {
            "job": self.serialize(job),
            "status": job.status.value,
            "seconds": job.ttl if job.ttl > 0 else None,
            "key": job.key,
            **_before(stored),
        }
        return bool(await self._execute(_FORGET if job.ttl < 0 else _END, **values))


def _before(stored: Stored) -> dict[str, object]:
    return {"before": stored.body, "was": stored.job.status.value}
