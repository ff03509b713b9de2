"""SAQ's queue on Redis, hardened for use by several machines."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from saq.job import Status
from saq.queue.redis import RedisQueue as SaqRedisQueue

from proxy.errors import QueueUnavailable
from proxy.queues.base import PAUSED
from proxy.queues.circuit_breaker import CircuitBreaker, OutageGuard
from proxy.queues.server_queue import ServerQueue, Stored

if TYPE_CHECKING:
    from saq.job import Job

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 2.0
"""The timeout to connect and for each response, each with one retry. The readiness check times out after 5 s."""

_UNKNOWN_AUTHORITY = (
    "If its certificate is signed by an authority of your own, add that to QUEUE: rediss://…?ssl_ca_certs=<file>."
)

_ACTIVE = """
local held = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local body = redis.call('GET', id)
  if body then
    held[#held + 1] = {id, body}
  else
    redis.call('LREM', KEYS[1], 0, id)
    redis.call('ZREM', KEYS[2], id)
  end
end
return held
"""
"""Returns the jobs that workers hold, and removes entries whose record has expired or was deleted by hand."""

_SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""

_PUT_BACK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('LREM', KEYS[2], 0, KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[3], 0, KEYS[1])
redis.call('LPUSH', KEYS[4], KEYS[1])
return 1
"""

_END = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('LPOS', KEYS[2], KEYS[1]) then return 0 end
redis.call('ZREM', KEYS[3], KEYS[1])
redis.call('LREM', KEYS[4], 0, KEYS[1])
if tonumber(ARGV[3]) > 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
elseif tonumber(ARGV[3]) == 0 then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
return 1
"""
"""Ends a waiting job, unless it has changed or a worker has just dequeued it."""

_GIVE_BACK = """
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('LREM', KEYS[2], 0, KEYS[4]) == 0 then return 0 end
redis.call('LPUSH', KEYS[3], KEYS[4])
return 1
"""
"""Puts a job that was just dequeued back to the front, if the queue has been paused meanwhile."""


class RedisQueue(ServerQueue, SaqRedisQueue):
    """A queue in the Redis at `url`, which may set connection options: `?socket_timeout=...`."""

    def __init__(self, url: str, *, name: str = "default") -> None:
        SaqRedisQueue.__init__(self, _Client(url), name=name)
        self._outage_guard = OutageGuard()
        self._unbegun: dict[bytes, bytes] = {}
        self._held_script = self.redis.register_script(_ACTIVE)
        self._swap_script = self.redis.register_script(_SWAP)
        self._put_back_script = self.redis.register_script(_PUT_BACK)
        self._end_script = self.redis.register_script(_END)
        self._give_back_script = self.redis.register_script(_GIVE_BACK)

    def __repr__(self) -> str:
        return f"RedisQueue<name={self.name!r}>"  # SAQ's own shows the password

    async def connect(self) -> None:
        """Connect, and log a warning if the server's configuration may lose jobs.

        Raises:
            QueueUnavailable: the server does not answer or rejects the login.
        """
        try:
            facts = await self.redis.info()
        except QueueUnavailable as fault:
            if "CERTIFICATE_VERIFY_FAILED" not in str(fault):
                raise
            raise QueueUnavailable(f"{fault} {_UNKNOWN_AUTHORITY}") from fault
        if not facts.get("aof_enabled"):
            log.warning(
                "redis_may_lose_jobs",
                detail="Redis loses jobs when it crashes: set appendonly to yes in its configuration.",
            )
        if facts.get("maxmemory") and facts.get("maxmemory_policy") != "noeviction":
            log.warning(
                "redis_may_lose_jobs",
                detail="Redis may evict jobs: set maxmemory-policy to noeviction in its configuration.",
            )
        await super().connect()

    async def disconnect(self) -> None:
        """Close every connection, even if the server is down."""
        with suppress(exceptions.RedisError):
            await super().disconnect()
        await self.redis.connection_pool.disconnect()

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109 - SAQ's signature
        """Return the next job; None if none arrives within `timeout` seconds (0: wait forever)."""
        async with self._outage_guard.pausing():
            if not await self._wait_for_resume(timeout):
                return None
            job = await super().dequeue(timeout, poll_interval)
            keys = [self._fact(PAUSED), self._active, self._queued, job.id if job else ""]
            return None if job and await self._give_back_script(keys=keys) else job

    async def remember(self, name: str, value: str, *, seconds: float | None = None) -> str:
        """Store a value under a name; see `JobQueue.remember`."""
        await self.redis.set(self._fact(name), value, nx=True, ex=None if seconds is None else math.ceil(seconds))
        return await self.recall(name) or value

    async def recall(self, name: str) -> str | None:
        """Return the value under a name; see `JobQueue.recall`."""
        found: bytes | None = await self.redis.get(self._fact(name))
        return None if found is None else found.decode()

    async def forget(self, name: str) -> bool:
        """Remove the value under a name; see `JobQueue.forget`."""
        return bool(await self.redis.delete(self._fact(name)))

    def _fact(self, name: str) -> str:
        return self.namespace(f"fact:{name}")

    async def _stored(self, key: str) -> Stored | None:
        return self._read(await self.redis.get(self.job_id(key)))

    async def _unreachable(self) -> list[Stored]:
        found: list[tuple[bytes, bytes]] = await self._held_script(keys=[self._active, self._incomplete])
        active = {job_id: stored for job_id, body in found if (stored := self._read(body))}
        # A worker dequeues a job in one step and sets it to active in the next. If it dies in between, the job keeps
        # the status "queued". Such a job counts as abandoned when two sweeps in a row find it unchanged.
        unbegun = {job_id: stored.body for job_id, stored in active.items() if stored.job.status == Status.QUEUED}
        before, self._unbegun = self._unbegun, unbegun
        return [
            one for job_id, one in active.items() if one.job.stuck or before.get(job_id) == unbegun.get(job_id, b"")
        ]

    def _read(self, body: bytes | None) -> Stored | None:
        job = self.deserialize(body)
        return Stored(job, body) if job and body else None

    async def _swap(self, stored: Stored, job: Job) -> bool:
        return bool(await self._swap_script(keys=[job.id], args=[stored.body, self.serialize(job)]))

    async def _put_back(self, stored: Stored, job: Job) -> bool:
        keys = [job.id, self._active, self._incomplete, self._queued]
        return bool(await self._put_back_script(keys=keys, args=[stored.body, self.serialize(job)]))

    async def _end(self, stored: Stored, job: Job) -> bool:
        keys = [job.id, self._active, self._incomplete, self._queued]
        has_ended = bool(await self._end_script(keys=keys, args=[stored.body, self.serialize(job), job.ttl]))
        if has_ended:
            await self.notify(job)
        return has_ended


class _Client(Redis):
    """A Redis client that retries once on a dead connection, and whose errors are `QueueUnavailable`."""

    def __init__(self, url: str) -> None:
        pool = ConnectionPool.from_url(
            url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 1),
        )
        super().__init__(connection_pool=pool)
        self._breaker = CircuitBreaker(
            "Redis",
            errors=exceptions.RedisError,
            unreachable=(exceptions.ConnectionError, exceptions.TimeoutError),
            denied=lambda error: isinstance(error, exceptions.AuthenticationError),
            passed_through=(exceptions.NoScriptError,),  # redis-py's scripts catch it to load themselves
        )

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with self._breaker.guarded():
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call] # redis-py's is untyped

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - redis-py's signature
        return _Transaction(self.connection_pool, self.response_callbacks, transaction, shard_hint, self._breaker)


class _Transaction(Pipeline):
    """A pipeline of commands, guarded by the client's circuit breaker."""

    def __init__(self, *given: Any) -> None:
        *theirs, self._breaker = given
        super().__init__(*theirs)

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's signature
        with self._breaker.guarded():
            return await super().execute(raise_on_error)
