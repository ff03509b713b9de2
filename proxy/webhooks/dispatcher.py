"""The dispatcher: a worker that watches jobs, delivers their callbacks, and retries those that fail."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import structlog
from cachetools import LRUCache

from pipeline.errors import Refused
from proxy import metrics
from proxy.concurrency.backoff import Backoff, jittered
from proxy.errors import BadCallback, CallbackFailed, ImagesError, public_message
from proxy.queues.worker import QueueWorker, RetryLater
from proxy.webhooks.delivery import DETAIL, FAILURES, TRIED_AT
from proxy.webhooks.outbox import AGAIN_SECONDS, DELIVER, UNKNOWN_LOOKS, WATCH, Callback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    import saq
    from saq.types import Context

    from proxy.queues.base import JobQueue
    from proxy.queues.worker import Function
    from proxy.webhooks.client import WebhookClient, WebhookResponse

log = structlog.get_logger(__name__)

DONE: Final = "job.done"
"""The type of a callback about a job that has made every size."""

MAX_CONCURRENT: Final = 8
"""The maximum number of concurrent callbacks. They do not use the slots of jobs, so a slow receiver delays no job."""

MAX_PER_RECEIVER: Final = MAX_CONCURRENT // 2
"""The maximum number of concurrent callbacks to one receiver, so that a slow one does not delay the others."""

BUSY_RECEIVER: Final = Backoff(first_seconds=1.0, longest_seconds=60.0)
"""The back-off of a callback whose receiver already has the maximum number of concurrent callbacks.

At the longest wait, 1,000 callbacks that wait for one receiver are dequeued 17 times a second in total.
"""

WAITS_SECONDS: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
"""The wait after each failed attempt: eleven attempts in about a day."""

LONGEST_WAIT_SECONDS: Final = 28_800.0
"""The maximum wait that a receiver may request with `Retry-After`."""

FACTS_SECONDS: Final = 30.0
"""The timeout for reading the facts of an original; the callback then goes without them, within its own timeout."""

Outcome = Literal["delivered", "gone", "given_up", "refused"]
"""How a callback ended; the values of the label `outcome` of `callbacks_total`, which also counts retries."""

FAILURE_EVENTS: Final[dict[Outcome, str]] = {
    "gone": "callback_receiver_gone",
    "given_up": "callback_abandoned",
    "refused": "callback_refused",
}
"""Outcome of a callback that is not delivered -> the log event about it."""


class Dispatcher(QueueWorker):
    """A worker that processes the queue of callbacks until it is stopped.

    `complete_job` returns whether a job has ended; if it has, its callback is in the queue by then. It returns None if
    the queue has no such job. `read_facts`
    returns the facts of an original, for the callback of a job that is done: they are read again for each attempt, so
    that no queue keeps them. Without it, callbacks have no facts.
    """

    def __init__(
        self,
        *,
        queue: JobQueue,
        webhook_client: WebhookClient,
        complete_job: Callable[[str], Awaitable[bool | None]],
        grace_seconds: float,
        read_facts: Callable[[str], Awaitable[msgspec.Struct]] | None = None,
        facts_seconds: float = FACTS_SECONDS,
        waits_seconds: Sequence[float] = WAITS_SECONDS,
    ) -> None:
        functions: dict[str, Function] = {WATCH: self.watch, DELIVER: self.deliver}
        super().__init__(queue, functions, concurrency=MAX_CONCURRENT, grace_seconds=grace_seconds)
        self._webhook_client = webhook_client
        self._complete_job = complete_job
        self._read_facts = read_facts
        self._facts_seconds = facts_seconds
        self._waits_seconds = waits_seconds
        self._bulkhead = Bulkhead(at_once=MAX_PER_RECEIVER)

    async def watch(self, context: Context, *, job_id: str) -> None:
        """Enqueue the callback of a job that has ended; check again later if it has not, or is not known yet.

        Raises:
            RetryLater: the job has not ended, or may be enqueued later.
        """
        has_ended = await self._complete_job(job_id)
        if has_ended is None:
            _look_again(context["job"])
        elif not has_ended:
            raise RetryLater(f"job {job_id} has not ended")

    async def deliver(self, context: Context, **arguments: object) -> Outcome:
        """Deliver a callback, or reschedule it.

        Raises:
            RetryLater: the delivery failed, or its receiver has too many concurrent callbacks.
        """
        callback, job = msgspec.convert(arguments, Callback), context["job"]
        return await self._deliver(job, callback)

    def log_context(self, job: saq.Job) -> dict[str, object]:
        """Return the fields that every log line about a callback contains, its job's id and key included."""
        told = job.kwargs or {}
        if job.function == WATCH:
            return {"job_id": told.get("job_id")}
        return {"callback_id": told.get("id"), "attempt": _failures(job) + 1, **_subject(told.get("body", ""))}

    async def _deliver(self, job: saq.Job, callback: Callback) -> Outcome:
        try:
            with self._bulkhead.called(callback.receiver) as is_our_turn:
                if not is_our_turn:
                    raise _put_back(job)
                answer = await self._post(job, callback)
        except BadCallback as fault:
            return _ended(job, "refused", str(fault))
        except CallbackFailed as fault:
            return self._put_off(job, str(fault), shown=public_message(fault))
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return _ended(job, "delivered", f"The receiver responded with {answer.status}.")
        if answer.status == HTTPStatus.GONE:
            return _ended(job, "gone", "The receiver responded with 410, so no more attempts are made.")
        return self._put_off(job, f"The receiver responded with {answer.status}.", answer.retry_after_seconds)

    async def _post(self, job: saq.Job, callback: Callback) -> WebhookResponse:
        if job.retry_delay != AGAIN_SECONDS:  # the last wait is over; it must not be repeated if this process dies
            await job.update(retry_delay=AGAIN_SECONDS)
        body = await self._with_facts(callback.body)
        return await self._webhook_client.post(url=callback.url, message_id=callback.id, body=body)

    async def _with_facts(self, body: str) -> str:
        """Return the body of a callback, if its job is done with the facts of the original, or null for those."""
        if self._read_facts is None:
            return body
        announced = _announced(body)
        if announced is None or announced.type != DONE:
            return body
        facts: msgspec.Struct | None = None
        try:
            async with asyncio.timeout(self._facts_seconds):
                facts = await self._read_facts(announced.data.key)
        except (ImagesError, Refused) as fault:
            log.warning("callback_facts_unread", code=fault.code)
        except TimeoutError:
            log.warning("callback_facts_unread", code="timed-out")
        event = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        job = msgspec.json.decode(event["data"], type=dict[str, msgspec.Raw])
        job["facts"] = msgspec.Raw(msgspec.json.encode(facts))
        event["data"] = msgspec.Raw(msgspec.json.encode(job))
        return msgspec.json.encode(event).decode()

    def _put_off(
        self, job: saq.Job, detail: str, retry_after_seconds: float | None = None, *, shown: str = ""
    ) -> Outcome:
        failures = _failures(job)
        if failures >= len(self._waits_seconds):
            return _ended(job, "given_up", detail, shown=shown)
        wait = jittered(self._waits_seconds[failures])
        job.retry_delay = max(wait, min(retry_after_seconds or 0, LONGEST_WAIT_SECONDS))
        job.meta |= {FAILURES: failures + 1, TRIED_AT: time.time(), DETAIL: shown or detail}
        metrics.callbacks_total.labels("put_off").inc()
        log.warning("callback_retry_scheduled", detail=detail, retry_in_seconds=round(job.retry_delay, 1))
        raise RetryLater(detail)


def _look_again(watch_task: saq.Job) -> None:
    """Count a look for a job that the queue does not have.

    Raises:
        RetryLater: there have been fewer than `UNKNOWN_LOOKS`.
    """
    looks = int(watch_task.meta.get("unknown", 0)) + 1
    watch_task.meta["unknown"] = looks
    if looks < UNKNOWN_LOOKS:
        raise RetryLater("the job is not known yet")


class _Subject(msgspec.Struct):
    """The id of the job that a callback reports, and the key of its original."""

    id: str
    key: str


class _Announcement(msgspec.Struct):
    """The part of a callback's body that is parsed for the log and for facts."""

    data: _Subject
    type: str = ""


def _announced(body: str) -> _Announcement | None:
    try:
        return msgspec.json.decode(body, type=_Announcement)
    except msgspec.DecodeError:
        return None


def _subject(body: str) -> dict[str, object]:
    announced = _announced(body)
    return {"job_id": announced.data.id, "key": announced.data.key} if announced else {}


def _put_back(job: saq.Job) -> RetryLater:
    """Reschedule a callback whose receiver is busy, and return the error to raise; this is not a failed attempt."""
    turns = int(job.meta.get("turns", 0))
    job.meta["turns"] = turns + 1
    job.retry_delay = BUSY_RECEIVER.wait_seconds(turns + 1)
    return RetryLater("this receiver already has the maximum number of concurrent callbacks")


def _failures(job: saq.Job) -> int:
    """Return how many attempts failed at the receiver; attempts during which our own process died do not count."""
    return int(job.meta.get(FAILURES, 0))


def _ended(job: saq.Job, outcome: Outcome, detail: str, *, shown: str = "") -> Outcome:
    """Log and count the end of a callback; `shown` is the detail for clients, if it is another."""
    job.meta[DETAIL] = shown or detail
    metrics.callbacks_total.labels(outcome).inc()
    if outcome == "delivered":
        log.info("callback_delivered", detail=detail)
    else:
        log.error(FAILURE_EVENTS[outcome], detail=detail)
    return outcome


SILENT_ENTRIES: Final = 1000
"""How many silent receivers are remembered.

An evicted receiver merely gets more concurrent calls again, until the next one fails.
"""


class Bulkhead:
    """A limit on concurrent calls per receiver, so that slow or silent ones cannot occupy all delivery slots."""

    def __init__(self, *, at_once: int) -> None:
        self._at_once = at_once
        self._called: Counter[str] = Counter()
        self._silent: LRUCache[str, bool] = LRUCache(maxsize=SILENT_ENTRIES)

    @contextmanager
    def called(self, name: str) -> Iterator[bool]:
        """Yield whether a receiver may be called now; if true, the block counts as a call.

        A receiver is silent if the block raises `CallbackFailed`. It then gets one call at a time until one succeeds.
        """
        if self._called[name] >= (1 if name in self._silent else self._at_once):
            yield False
            return
        self._called[name] += 1
        try:
            yield True
        except CallbackFailed:
            self._silent[name] = True
            raise
        else:
            self._silent.pop(name, None)
        finally:
            self._called[name] -= 1
            if not self._called[name]:
                del self._called[name]
