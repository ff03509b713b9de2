"""What a job is: "make every derivative of this original", safe in a queue until it ends."""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import structlog

from proxy.concurrency.batcher import Batcher
from proxy.errors import BadOrder, Busy, UnknownJob, UnknownSize
from proxy.jobs.completion import callback_for
from proxy.jobs.job import read_job
from proxy.jobs.listing import JobListing
from proxy.jobs.live_index import LiveIndex, is_live
from proxy.jobs.request import JobRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from saq import Job as QueuedJob

    from proxy.derivatives.recipe import Recipe
    from proxy.jobs.job import Job
    from proxy.jobs.listing import ListJobs
    from proxy.jobs.live_index import QueueStatus
    from proxy.queues.base import JobQueue
    from proxy.webhooks.outbox import Outbox

log = structlog.get_logger(__name__)

FUNCTION = "make_derivatives"
"""The name under which the queue knows what a worker does."""

TIMEOUT_SECONDS = 900
"""The longest one attempt may take: in line for a slot, downloading, rendering, uploading."""

MOST_REPLAYS = 100
"""How many of the messages that ran a job again are remembered with it; each is good for ten minutes at most."""

ATTEMPTS = 50
"""How often a job is begun at most: all that `work.RETRY_POLICIES` allows, and ten machines that die under it."""


DAY_SECONDS = 86_400

_ID = re.compile(r"[0-9a-f]{32}")
"""What a job's id looks like; a queue need not take anything else, and PostgreSQL fails at a NUL."""


def _ignore(_original: str) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, newest first; the cursor of the next page if there is one; whether all jobs could be looked at."""

    jobs: tuple[Job, ...]
    cursor: str | None
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Submission:
    """An order that came in, the id that its job would have, whether a job of that id may be there already."""

    request: JobRequest
    job_id: str
    is_named: bool
    request_id: str
    replays: tuple[str, ...] = ()


class JobService:
    """Takes orders into the queue and tells what became of them.

    Where other machines share the queue, orders are decided one by one: a batch of each would go past its bound.
    `clear_failures` is called with the original of each job that is taken, so that page views try it anew.
    """

    def __init__(
        self,
        *,
        queue: JobQueue,
        outbox: Outbox,
        recipe: Recipe,
        public_base_url: str,
        queue_size: int,
        keep_seconds: int,
        clear_failures: Callable[[str], None] = _ignore,
    ) -> None:
        self._queue = queue
        self._outbox = outbox
        self._recipe = recipe
        self._public_base_url = public_base_url
        self._clear_failures = clear_failures
        self._queue_size = queue_size
        self._keep_seconds = keep_seconds
        self._live = LiveIndex(queue)
        self._listing = JobListing(queue)
        self._posts: Batcher[_Submission, QueuedJob] = Batcher(self._decide, most=1 if queue.is_shared else None)
        self._deciding = asyncio.Lock()

    async def submit(self, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        """Take an order; when this returns, the job is on disk.

        The same idempotency key gives the same job for as long as that is kept; an original whose job is live gives
        that job, unless the order wants more than the job will make.

        Raises:
            BadKey, BadOrder, BadCallback: the order is nonsense.
            Busy: as many jobs wait as may.
        """
        try:
            self._recipe.check(request.key, request.sizes)
        except UnknownSize as fault:
            raise BadOrder(str(fault)) from fault
        self._outbox.check(request.callback_url)
        job = self._describe(await self._posts.ask(_submission(request, idempotency_key)))
        self._clear_failures(job.key)  # here and now; whichever process works the job does so too
        return job

    async def get(self, job_id: str) -> Job:
        """Tell what is known of a job.

        Raises:
            UnknownJob: there is none of that id, or it ended too long ago.
        """
        return self._describe(await self._queued_job(job_id))

    async def page(self, asked: ListJobs) -> JobPage:
        """List jobs, newest first.

        Raises:
            BadCursor: the cursor is none that a page gave.
        """
        page = await self._listing.page(asked)
        jobs = tuple(self._describe(queued) for queued in page.jobs)
        return JobPage(jobs=jobs, cursor=page.cursor, is_complete=page.is_complete)

    async def replay(self, job_id: str, *, message_id: str | None = None) -> Job:
        """Run a job that has ended once more, as it was ordered; one that is live is left alone.

        So is one that the message of that id has already run again.

        Raises:
            UnknownJob: there is none of that id, or it ended too long ago.
            Busy: as many jobs wait as may.
        """
        await self.complete(job_id)  # its worker may have died before it did, and what is run again forgets its end
        job = await self._replay(job_id, message_id)
        self._clear_failures(job.key)
        return job

    async def complete(self, job_id: str) -> bool:
        """Return whether a job has ended; if it has, its callback is in the outbox when this returns."""
        try:
            queued = await self._queued_job(job_id)
        except UnknownJob:  # its order never entered the queue, or it ended longer ago than jobs are kept
            return True
        job, callback_url = self._describe(queued), _request_of(queued).callback_url
        if job.finished_at is None or job.created_at is None:
            return False
        if callback_url:
            await self._outbox.enqueue_callback(callback_for(job, callback_url, created_at=job.created_at))
        return True

    async def _replay(self, job_id: str, message_id: str | None) -> Job:
        async with self._deciding:
            queued = await self._queued_job(job_id)
            replays: tuple[str, ...] = tuple(queued.meta.get("replays", ()))
            if is_live(queued) or message_id in replays:
                return self._describe(queued)
            waiting = await self._live.waiting()
            if waiting >= self._queue_size:
                raise self._busy(waiting)
            again = _Submission(
                request=_request_of(queued),
                job_id=job_id,
                is_named=True,
                request_id=_request_id(),
                replays=(*replays, message_id)[-MOST_REPLAYS:] if message_id else replays,
            )
            self._live.add(job_id, again.request)
            return self._describe(await self._enqueue(again))

    async def waiting(self) -> QueueStatus:
        """Tell how many jobs wait, for how long, for how many workers."""
        return await self._live.status()

    async def _queued_job(self, job_id: str) -> QueuedJob:
        queued = await self._queue.job(job_id) if _ID.fullmatch(job_id) else None
        if queued is None:
            days = self._keep_seconds / DAY_SECONDS
            raise UnknownJob(f"There is no job {job_id!r}, or it ended more than {days:.3g} days ago.")
        return queued

    def _describe(self, queued: QueuedJob) -> Job:
        request = _request_of(queued)
        wanted = request.sizes or self._recipe.names
        return read_job(queued, key=request.key, wanted=wanted, public_base_url=self._public_base_url)

    async def _decide(self, posts: Sequence[_Submission]) -> list[QueuedJob | Exception]:
        """Give the job of each order: one that is there, else a new one while there is room.

        Orders that come together are decided together, for one look at the queue and one commit.
        """
        async with self._deciding:
            if self._live.is_outdated:
                await self._live.refresh()
            there, waiting = await asyncio.gather(
                self._live.find(
                    [posted.job_id for posted in posts if posted.is_named],
                    originals={posted.request.key for posted in posts},
                ),
                self._live.waiting(),
            )
            new: dict[str, _Submission] = {}
            chosen = [self._choose(posted, there, new, waiting=waiting) for posted in posts]
            made = await asyncio.gather(*map(self._enqueue, new.values()), return_exceptions=True)
        jobs = {**there, **dict(zip(new, map(_fault_or_job, made), strict=True))}
        return [choice if isinstance(choice, Busy) else jobs[choice] for choice in chosen]

    def _choose(
        self, posted: _Submission, there: Mapping[str, QueuedJob], new: dict[str, _Submission], *, waiting: int
    ) -> str | Busy:
        known = (*([posted.job_id] if posted.is_named else []), *self._live.covering(posted.request))
        for job_id in known:
            if job_id in there or job_id in new:  # not one that somebody else enqueued since `there` was read
                return job_id
        if waiting + len(new) >= self._queue_size:
            return self._busy(waiting + len(new))
        new[posted.job_id] = posted
        self._live.add(posted.job_id, posted.request)
        return posted.job_id

    def _busy(self, waiting: int) -> Busy:
        return Busy(
            f"{waiting} jobs wait already, which is as many as may; post again when Retry-After says.",
            retry_after_seconds=self._live.retry_after_seconds(waiting),
        )

    async def _enqueue(self, posted: _Submission) -> QueuedJob:
        await self._outbox.watch_job(posted.job_id, posted.request.callback_url)
        queued = await self._queue.enqueue(
            FUNCTION,
            key=posted.job_id,
            kwargs=msgspec.to_builtins(posted.request),
            timeout=TIMEOUT_SECONDS,
            retries=ATTEMPTS,
            retry_delay=1.0,
            retry_backoff=60.0,
            ttl=self._keep_seconds,
            meta={"request_id": posted.request_id} | ({"replays": posted.replays} if posted.replays else {}),
        )
        queued = queued or await self._queued_job(posted.job_id)  # there is one of that id
        log.info("job_queued", job_id=posted.job_id, key=posted.request.key, request_id=posted.request_id)
        return queued


def _submission(request: JobRequest, idempotency_key: str | None) -> _Submission:
    """Give an order's job an id that cannot be guessed, or that follows from the idempotency key."""
    job_id = hashlib.sha256(idempotency_key.encode()).hexdigest()[:32] if idempotency_key else uuid.uuid4().hex
    return _Submission(request=request, job_id=job_id, is_named=bool(idempotency_key), request_id=_request_id())


def _request_id() -> str:
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def _request_of(queued: QueuedJob) -> JobRequest:
    return msgspec.convert(queued.kwargs, JobRequest)


def _fault_or_job(made: QueuedJob | BaseException) -> QueuedJob | Exception:
    if isinstance(made, BaseException) and not isinstance(made, Exception):
        raise made  # a cancellation is nobody's answer
    return made
