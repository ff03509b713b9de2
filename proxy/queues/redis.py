"""SAQ's queue on Redis, hardened for use by several machines."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog
from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from saq.job import Status
from saq.queue.redis import RedisQueue as SaqRedisQueue

from proxy.errors import QueueUnavailable
from proxy.queues.base import DEFERRED, PAUSED, SET_ASIDE_DAYS
from proxy.queues.circuit_breaker import CircuitBreaker, OutageGuard
from proxy.queues.runs import TakenJob, is_same_run
from proxy.queues.server_queue import Broken, ServerQueue, Stored

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from saq.job import Job

T = TypeVar("T")

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 2.0
"""The timeout to connect and for each response, each with one retry. The readiness check times out after 5 s."""

BLOCK_SECONDS = 1.0
"""How long one call waits for a job on the server; shorter than `ANSWER_SECONDS`, or it would count as unanswered."""

SHORTEST_SECONDS = 0.01
"""The shortest wait: to Redis, 0 is for ever."""

DAY_SECONDS, MICROSECONDS = 86_400, 1_000_000

_UNKNOWN_AUTHORITY = (
    "If its certificate is signed by an authority of your own, add that to QUEUE: rediss://…?ssl_ca_certs=<file>."
)

_ACTIVE = """
local held = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local body = redis.call('MGET', id)[1]
  if body then
    held[#held + 1] = {id, body}
  else
    redis.call('LREM', KEYS[1], 0, id)
    redis.call('ZREM', KEYS[2], id)
  end
end
return held
"""
"""Returns the jobs that workers hold, and removes entries whose record has expired or was deleted by hand.

MGET, unlike GET, returns nothing for a key that holds no text.
"""

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

_PUT_OFF = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('LREM', KEYS[2], 0, KEYS[1])
redis.call('LREM', KEYS[4], 0, KEYS[1])
redis.call('ZADD', KEYS[3], ARGV[3], KEYS[1])
if tonumber(ARGV[3]) == 0 then redis.call('RPUSH', KEYS[4], KEYS[1]) end
if ARGV[4] == '1' then redis.call('SADD', KEYS[5], KEYS[1]) end
return 1
"""
"""Queues a job again that a worker holds, unless it has changed."""

_END = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[4] == '0' and redis.call('LPOS', KEYS[2], KEYS[1]) then return 0 end
redis.call('LREM', KEYS[2], 0, KEYS[1])
redis.call('ZREM', KEYS[3], KEYS[1])
redis.call('LREM', KEYS[4], 0, KEYS[1])
redis.call('SREM', KEYS[5], KEYS[1])
if tonumber(ARGV[3]) > 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
elseif tonumber(ARGV[3]) == 0 then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
return 1
"""
"""Ends a job, unless it has changed, or a worker has just dequeued it and is not the one that ends it."""

_GIVE_BACK = """
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('GET', KEYS[4]) ~= ARGV[1] then return 0 end
if redis.call('LREM', KEYS[2], 0, KEYS[4]) == 0 then return 0 end
redis.call('LPUSH', KEYS[3], KEYS[4])
return 1
"""
"""Puts a job that was just dequeued back to the front, if the queue has been paused meanwhile."""


_SCHEDULE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], 1, redis.call('TIME')[1])
for _, id in ipairs(due) do
  redis.call('ZADD', KEYS[1], 0, id)
  redis.call('RPUSH', KEYS[2], id)
end
return due
"""
"""Queues the scheduled jobs that are due by the server's clock."""

_MOVE_ASIDE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('LREM', KEYS[2], 0, KEYS[1])
redis.call('ZREM', KEYS[3], KEYS[1])
redis.call('LREM', KEYS[4], 0, KEYS[1])
redis.call('SREM', KEYS[6], KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[5], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[5], ARGV[3])
return 1
"""

_FORGET = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

_TAKE_BACK = """
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[3], 0, KEYS[1])
redis.call('RPUSH', KEYS[4], KEYS[1])
return 1
"""


class RedisQueue(ServerQueue, SaqRedisQueue):
    """A queue in the Redis at `url`, which may set connection options: `?socket_timeout=...`."""

    def __init__(self, url: str, *, name: str = "default") -> None:
        SaqRedisQueue.__init__(self, _Client(url), name=name)
        self._outage_guard = OutageGuard()
        self._unbegun: dict[str, bytes] = {}
        self._left: set[str] = set()
        self._held_script = self.redis.register_script(_ACTIVE)
        self._swap_script = self.redis.register_script(_SWAP)
        self._put_back_script = self.redis.register_script(_PUT_BACK)
        self._put_off_script = self.redis.register_script(_PUT_OFF)
        self._end_script = self.redis.register_script(_END)
        self._give_back_script = self.redis.register_script(_GIVE_BACK)
        self._due_script = self.redis.register_script(_SCHEDULE)
        self._move_aside_script = self.redis.register_script(_MOVE_ASIDE)
        self._take_back_script = self.redis.register_script(_TAKE_BACK)
        self._forget_script = self.redis.register_script(_FORGET)
        self._aside = self.namespace("set-aside")
        self._deferred = self.namespace("deferred")

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
        deadline = time.monotonic() + timeout if timeout > 0 else math.inf
        async with self._outage_guard.pausing():
            if not await self._wait_for_resume(timeout):
                return None
            while True:
                left = deadline - time.monotonic()
                job = await super().dequeue(max(min(left, BLOCK_SECONDS), SHORTEST_SECONDS), poll_interval)
                if job is not None or left <= BLOCK_SECONDS:
                    return None if job and await self._is_given_back(job) else job

    async def job(self, job_key: str) -> Job | None:
        """Return the job under `job_key`; None if there is none, or if it cannot be read."""
        return self.deserialize(await self._body(self.job_id(job_key)))

    async def clock(self) -> float:
        """Return the time of the server; see `JobQueue.clock`."""
        seconds, microseconds = await self.redis.time()
        return float(seconds) + float(microseconds) / MICROSECONDS

    async def count_deferred(self) -> int:
        """Return the number of waiting jobs that are deferred; see `JobQueue.count_deferred`."""
        return await _answer(self.redis.scard(self._deferred))

    async def remember(self, name: str, value: str, *, seconds: float | None = None) -> str:
        """Store a value under a name; see `JobQueue.remember`."""
        await self.redis.set(self._fact(name), value, nx=True, ex=None if seconds is None else math.ceil(seconds))
        return await self.recall(name) or value

    async def overwrite(self, name: str, value: str, *, seconds: float) -> None:
        """Store a value under a name, whatever is stored there; see `JobQueue.overwrite`."""
        await self.redis.set(self._fact(name), value, ex=math.ceil(seconds))

    async def recall(self, name: str) -> str | None:
        """Return the value under a name; see `JobQueue.recall`."""
        found: bytes | None = await self.redis.get(self._fact(name))
        return None if found is None else found.decode()

    async def forget(self, name: str, *, value: str | None = None) -> bool:
        """Remove the value under a name; see `JobQueue.forget`."""
        if value is not None:
            return bool(await self._forget_script(keys=[self._fact(name)], args=[value]))
        return bool(await self.redis.delete(self._fact(name)))

    async def _is_given_back(self, job: Job) -> bool:
        """Return whether a job that was just dequeued is in the queue again, because that has been paused meanwhile."""
        if await self.paused_since() is None:
            return False
        stored = await self._stored(job.key)
        if stored is None or not is_same_run(stored.job, job):
            return False  # it was taken over meanwhile: its worker cannot begin it
        keys = [self._fact(PAUSED), self._active, self._queued, job.id]
        return bool(await self._give_back_script(keys=keys, args=[stored.body]))

    async def schedule(self, lock: int = 1) -> list[str]:  # noqa: ARG002 - SAQ's signature
        """Queue the scheduled jobs that are due, and return their ids."""
        due: list[bytes] = await self._due_script(keys=[self._incomplete, self._queued])
        return [job_id.decode(errors="replace") for job_id in due]

    async def _get_job_by_id(self, job_id: bytes | str) -> Job | None:
        """Return the job that was just taken; set it aside if it cannot be read."""
        body = await self._body(job_id)
        if body is None:
            return None
        name = job_id if isinstance(job_id, str) else job_id.decode(errors="replace")
        found = self.examine(body, key=self.job_key_from_id(name))
        if isinstance(found, Broken):
            await self.set_aside(found)
            return None
        if found.job.priority == DEFERRED:
            await _answer(self.redis.srem(self._deferred, job_id))
        return TakenJob.of(found.job)

    async def _body(self, job_id: bytes | str) -> bytes | None:
        found: list[bytes | None] = await self.redis.mget([job_id])
        return found[0]

    async def _stored(self, key: str) -> Stored | None:
        body = await self._body(self.job_id(key))
        found = self.examine(body, key=key) if body else None
        return found if isinstance(found, Stored) else None

    async def _held(self) -> list[Stored | Broken]:
        found: list[tuple[bytes, bytes]] = await self._held_script(keys=[self._active, self._incomplete])
        held = [self.examine(body, key=self.job_key_from_id(job_id.decode(errors="replace"))) for job_id, body in found]
        # A worker dequeues a job in one step and sets it to active in the next. If it dies in between, the job keeps
        # the status "queued". Such a job counts as abandoned when two sweeps in a row find it unchanged.
        unbegun = {one.job.key: one.body for one in held if isinstance(one, Stored) and one.job.status == Status.QUEUED}
        self._left = {key for key, body in unbegun.items() if self._unbegun.get(key) == body}
        self._unbegun = unbegun
        return held

    def _is_left(self, held: Stored | Broken) -> bool:
        return isinstance(held, Stored) and held.job.key in self._left

    async def _move_aside(self, broken: Broken) -> bool:
        keys = [self.job_id(broken.key), self._active, self._incomplete, self._queued, self._aside, self._deferred]
        kept: tuple[bytes, str, int] = (broken.body, broken.key, SET_ASIDE_DAYS * DAY_SECONDS)
        return bool(await self._move_aside_script(keys=keys, args=kept))

    async def _kept_aside(self) -> list[tuple[str, bytes]]:
        kept: dict[bytes, bytes] = await _answer(self.redis.hgetall(self._aside))
        return [(key.decode(errors="replace"), body) for key, body in kept.items()]

    async def _take_back(self, kept: Stored) -> bool:
        keys = [kept.job.id, self._aside, self._incomplete, self._queued]
        return bool(await self._take_back_script(keys=keys, args=[kept.job.key, self.serialize(kept.job)]))

    def _fact(self, name: str) -> str:
        return self.namespace(f"fact:{name}")

    async def _swap(self, stored: Stored, job: Job) -> bool:
        return bool(await self._swap_script(keys=[job.id], args=[stored.body, self.serialize(job)]))

    async def _put_back(self, stored: Stored, job: Job) -> bool:
        keys = [job.id, self._active, self._incomplete, self._queued]
        return bool(await self._put_back_script(keys=keys, args=[stored.body, self.serialize(job)]))

    async def _put_off(self, stored: Stored, job: Job, due: float) -> bool:
        keys = [job.id, self._active, self._incomplete, self._queued, self._deferred]
        values = [stored.body, self.serialize(job), due, int(job.priority == DEFERRED)]
        return bool(await self._put_off_script(keys=keys, args=values))

    async def _end(self, stored: Stored, job: Job, *, is_held: bool) -> bool:
        keys = [job.id, self._active, self._incomplete, self._queued, self._deferred]
        values = [stored.body, self.serialize(job), job.ttl, int(is_held)]
        has_ended = bool(await self._end_script(keys=keys, args=values))
        if has_ended:
            await self.notify(job)
        return has_ended


async def _answer(call: Awaitable[T] | T) -> T:
    """Return the result of a command, whose type in redis-py is that of its blocking client as well."""
    return await cast("Awaitable[T]", call)


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
