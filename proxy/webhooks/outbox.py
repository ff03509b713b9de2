"""Callbacks that are owed, safe in a queue until they are delivered.

Why at least once. Before a job that has a `callback_url` enters its queue, a *promise* to watch it is in this one. The
worker that ends the job puts the *callback* here at once; when it cannot (it was killed, the job was abandoned by a
sweep, ran into its timeout, was aborted), the promise is still here, looks at the job every minute, and does it as soon
as the job has ended, however that came about. Both put the same callback under the same key, which the queue takes
once. A callback stays in the queue while it is tried; one whose process dies meanwhile is tried again.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import structlog

from proxy import metrics
from proxy.errors import BadCallback

if TYPE_CHECKING:
    from saq import Queue

    from proxy.webhooks.allowlist import AllowList

log = structlog.get_logger(__name__)

WATCH, DELIVER = "watch", "deliver"
"""The names under which the queue knows what a worker does with a promise and with a callback."""

WATCH_SECONDS = 60.0
"""How long after its order, and how often from then on, a job is looked at: twice as fast would halve what a kill at
the wrong moment delays a callback, and double what waiting jobs cost."""

TIMEOUT_SECONDS = 60
"""The longest one attempt may take, several times the deadline of a delivery; then it is another worker's."""

AGAIN_SECONDS = 5.0
"""How soon a callback is tried again whose process died, or stumbled over what nobody foresaw."""

MAX_ATTEMPTS = 1_000_000
"""Attempts that the queue allows. Processes that die spend one each; those that receivers fail are counted apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """What is posted where: `id` is the same for every attempt, `body` is JSON."""

    id: str
    url: str
    body: str

    @property
    def receiver(self) -> str:
        """Name who is called: its host, with its port."""
        return urlsplit(self.url).netloc.lower()


class Outbox:
    """Keeps promises and callbacks until a worker of the queue has dealt with them."""

    def __init__(
        self, *, queue: Queue, allow_list: AllowList, keep_seconds: int, watch_seconds: float = WATCH_SECONDS
    ) -> None:
        self._queue = queue
        self._allow_list = allow_list
        self._keep_seconds = keep_seconds
        self._watch_seconds = watch_seconds

    def check(self, url: str) -> None:
        """Return when callbacks may go to `url`, or when it is empty.

        Raises:
            BadCallback: they may not.
        """
        if url:
            self._allow_list.target(url)

    async def watch_job(self, job_id: str, url: str) -> None:
        """Have a job watched, so that its callback is owed as soon as it has ended; without a URL there is none."""
        if not url or not self._is_listed(url):
            return
        await self._queue.enqueue(
            WATCH,
            key=f"watch:{job_id}:{uuid.uuid4().hex}",  # never one that is just about to end
            kwargs={"job_id": job_id},
            scheduled=int(time.time() + self._watch_seconds),
            timeout=TIMEOUT_SECONDS,
            retries=MAX_ATTEMPTS,
            retry_delay=self._watch_seconds,
            ttl=-1,
        )

    async def enqueue_callback(self, callback: Callback) -> None:
        """Take a callback into the queue; one that was taken before is not taken twice."""
        key = f"callback:{callback.id}"
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

    def _is_listed(self, url: str) -> bool:
        """Tell whether a URL that was listed when its job was ordered still is."""
        try:
            self.check(url)
        except BadCallback as fault:
            metrics.callbacks_total.labels("refused").inc()
            log.warning("callback_refused", detail=str(fault))
            return False
        return True
