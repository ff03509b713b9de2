"""The outbox: a queue that stores callbacks until they are delivered, at least once.

Why at least once: before a job with a `callback_url` enters its queue, a *watch task* for it enters this one. The
worker that ends the job enqueues the *callback* here at once. It may fail to do so, because it was killed, or because
the job timed out or was aborted, by a sweep for example. The watch task is then still here. It checks the job every
minute, and enqueues the callback once the job has ended, however it ended. Both use the same key, which the queue
accepts once. A callback stays in the queue during an attempt; if the process dies meanwhile, it is retried.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import structlog

from proxy import metrics
from proxy.errors import BadCallback
from proxy.webhooks.delivery import read_state, waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    import saq

    from proxy.queues.base import JobQueue
    from proxy.webhooks.allowlist import AllowList
    from proxy.webhooks.delivery import CallbackState

log = structlog.get_logger(__name__)

WATCH, DELIVER = "watch", "deliver"
"""The names of the dispatcher's functions in the queue: for watch tasks and for callbacks."""

WATCH_SECONDS = 60.0
"""The delay before a watch task first checks its job, and the interval between later checks.

Half of it would halve the delay of a callback whose worker is killed at the wrong moment, and double the cost of
waiting jobs.
"""

UNKNOWN_LOOKS = 30
"""How often a watch task looks for a job that the queue does not have, before it gives up.

The watch task is enqueued first. A process that stands still between the two, because the queue or the machine does,
enqueues its job later than the first look.
"""

TIMEOUT_SECONDS = 60
"""The timeout of one attempt, several times the timeout of a delivery; after it, another worker retries."""

AGAIN_SECONDS = 5.0
"""The retry delay of a callback whose process died, or that failed with an unexpected error."""

MAX_ATTEMPTS = 1_000_000
"""The queue's limit of attempts, including those lost to dead processes; receivers' failures have their own limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A callback: its `body` (JSON) is posted to `url`, with the same `id` at every attempt."""

    id: str
    url: str
    body: str

    @property
    def receiver(self) -> str:
        """Return the receiver's host, with its port."""
        return urlsplit(self.url).netloc.lower()


class Outbox:
    """A queue of watch tasks and callbacks, which a `Dispatcher` processes."""

    def __init__(
        self, *, queue: JobQueue, allow_list: AllowList, keep_seconds: int, watch_seconds: float = WATCH_SECONDS
    ) -> None:
        self._queue = queue
        self._allow_list = allow_list
        self._keep_seconds = keep_seconds
        self._watch_seconds = watch_seconds
        queue.expect(WATCH, _check_watch_task)
        queue.expect(DELIVER, _check_callback)

    async def check_queue(self) -> None:
        """Raise unless the queue of callbacks can be written, if any are allowed; see `JobQueue.check`.

        Raises:
            QueueUnavailable: it cannot be read or written.
        """
        if self._allow_list.hosts:
            await self._queue.check()

    def check(self, url: str) -> None:
        """Raise unless callbacks to `url` are permitted; an empty URL is accepted.

        Raises:
            BadCallback: callbacks to `url` are not permitted.
        """
        if url:
            self._allow_list.target(url)

    async def watch_job(self, job_id: str, url: str) -> str:
        """Enqueue a watch task, so that the job's callback is sent once it has ended; return its key.

        Without a URL, do nothing, and return an empty string.
        """
        if not url or not self._is_listed(url):
            return ""
        key = f"watch:{job_id}:{uuid.uuid4().hex}"  # unique, as an earlier task for this job may be about to end
        await self._queue.enqueue(
            WATCH,
            key=key,
            kwargs={"job_id": job_id},
            scheduled=int(await self._queue.clock() + self._watch_seconds),
            timeout=TIMEOUT_SECONDS,
            retries=MAX_ATTEMPTS,
            retry_delay=self._watch_seconds,
            ttl=-1,
        )
        return key

    async def unwatch_job(self, key: str) -> None:
        """Remove a watch task whose job was not enqueued; an empty key is ignored."""
        if key and (task := await self._queue.job(key)) is not None:
            await self._queue.abort(task, "its job was not enqueued")

    async def enqueue_callback(self, callback: Callback) -> None:
        """Enqueue a callback, unless the queue already contains it."""
        key = _key(callback.id)
        if not self._is_listed(callback.url) or await self._queue.job(key) is not None:
            return
        await self._queue.enqueue(
            DELIVER,
            key=key,
            kwargs=msgspec.to_builtins(callback),
            timeout=TIMEOUT_SECONDS,
            retries=MAX_ATTEMPTS,
            retry_delay=AGAIN_SECONDS,
            ttl=self._keep_seconds,
        )

    async def states(self, callbacks: Mapping[str, str]) -> dict[str, CallbackState]:
        """Return how far the callbacks of jobs that have ended are, by their ids; `callbacks` is id -> URL."""
        found: list[saq.Job | None] = [None] * len(callbacks)
        if callbacks and self._allow_list.hosts:  # otherwise the queue is not connected
            found = await self._queue.jobs([_key(one) for one in callbacks])
        return {
            callback_id: read_state(url, queued) if queued else waiting(url, is_listed=self._allows(url))
            for (callback_id, url), queued in zip(callbacks.items(), found, strict=True)
        }

    def _allows(self, url: str) -> bool:
        try:
            self.check(url)
        except BadCallback:
            return False
        return True

    def _is_listed(self, url: str) -> bool:
        """Return whether a URL that was permitted when its job was submitted still is; count and log it if not."""
        try:
            self.check(url)
        except BadCallback as fault:
            metrics.callbacks_total.labels("refused").inc()
            log.warning("callback_refused", detail=str(fault))
            return False
        return True


def _key(callback_id: str) -> str:
    """Return the key of a callback in the queue."""
    return f"callback:{callback_id}"


class _WatchTask(msgspec.Struct):
    """The arguments of a watch task."""

    job_id: str


class _CallbackMeta(msgspec.Struct):
    """What is kept with a callback: how often its receiver failed, and how often it was busy."""

    failures: int = 0
    turns: int = 0


def _check_watch_task(task: saq.Job) -> None:
    msgspec.convert(task.kwargs, _WatchTask)


def _check_callback(task: saq.Job) -> None:
    msgspec.convert(task.kwargs, Callback)
    msgspec.convert(task.meta, _CallbackMeta)
