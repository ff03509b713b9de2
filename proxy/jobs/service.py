"""The job service: submits, lists and replays jobs, each of which renders the derivatives of one original."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import structlog
from msgspec.structs import replace
from saq import Job as QueuedJob

from proxy.concurrency.batcher import Batcher
from proxy.errors import Busy, UnknownJob, UnknownJobSize, UnknownSize
from proxy.jobs.completion import callback_for, callback_id
from proxy.jobs.job import check_stored, read_job
from proxy.jobs.job_ids import JobIds, former_id, random_id
from proxy.jobs.joins import join
from proxy.jobs.listing import JobListing
from proxy.jobs.live_jobs import LiveIndex, is_live
from proxy.jobs.request import JobRequest
from proxy.queues.base import QueueFull, is_deferred
from proxy.system.failpoints import reached
from proxy.webhooks.delivery import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxy.derivatives.recipe import Recipe
    from proxy.jobs.job import Job
    from proxy.jobs.listing import ListJobs
    from proxy.jobs.live_jobs import QueueStatus
    from proxy.keys.addresses import PublicAddresses
    from proxy.queues.base import JobQueue
    from proxy.webhooks.outbox import Outbox

log = structlog.get_logger(__name__)

FUNCTION = "make_derivatives"
"""The name of the worker's function in the queue."""

TIMEOUT_SECONDS = 900
"""The timeout of one attempt: waiting for a slot, download, render and upload."""

MOST_REPLAYS = 100
"""The maximum number of replay message ids stored with a job; a message is valid for ten minutes at most."""

ATTEMPTS = 70
"""The maximum number of attempts of a job: all that `RETRY_POLICIES` allows, plus ten for machines that die."""


DAY_SECONDS = 86_400

_ID = re.compile(r"[0-9a-f]{32}")
"""The format of a job id. No other string is passed to the queue; PostgreSQL, for one, fails on a NUL character."""


def _ignore(_original: str) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """A page of jobs, newest first.

    `cursor` is None on the last page. `is_complete` is False if the queue holds too many jobs to read them all.
    """

    jobs: tuple[Job, ...]
    cursor: str | None
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Submission:
    """A submitted request, the id for its job, and the ids under which its message may have a job already."""

    request: JobRequest
    job_id: str
    known_ids: tuple[str, ...] = ()
    request_id: str
    replays: tuple[str, ...] = ()


class JobService:
    """A service that submits jobs to a queue and returns their status.

    If other machines share the queue, requests are decided one by one: with batches on several machines, the queue
    would exceed `queue_size`. `clear_failures` is called with the original of each accepted job, so that page views
    retry it.
    """

    def __init__(
        self,
        *,
        queue: JobQueue,
        outbox: Outbox,
        recipe: Recipe,
        addresses: PublicAddresses,
        queue_size: int,
        keep_seconds: int,
        clear_failures: Callable[[str], None] = _ignore,
    ) -> None:
        self._queue = queue
        self._outbox = outbox
        self._recipe = recipe
        self._addresses = addresses
        self._clear_failures = clear_failures
        self._queue_size = queue_size
        self._keep_seconds = keep_seconds
        self._ids = JobIds(queue)
        self._live = LiveIndex(queue)
        queue.expect(FUNCTION, check_stored)
        self._listing = JobListing(queue)
        self._posts: Batcher[_Submission, QueuedJob] = Batcher(self._decide, most=1 if queue.is_shared else None)
        self._deciding = asyncio.Lock()

    async def submit(self, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        """Submit a request and return its job; when this returns, the queue has stored the job.

        The same idempotency key returns the same job for as long as that is stored. If a live job covers the request,
        that job is returned; see `JobRequest.covers`.

        Raises:
            BadKey, UnknownJobSize, BadCallback: the request is invalid.
            Busy: the queue is full.
        """
        try:
            self._recipe.check(request.key, request.sizes)
        except UnknownSize as fault:
            raise UnknownJobSize(str(fault)) from fault
        self._outbox.check(request.callback_url)
        (job,) = await self._show([await self._posts.ask(await self._submission(request, idempotency_key))])
        self._clear_failures(job.key)  # in this process; the process that runs the job does the same
        return job

    async def get(self, job_id: str) -> Job:
        """Return the job with that id.

        Raises:
            UnknownJob: no job has that id, or it ended too long ago.
        """
        (job,) = await self._show([await self._queued_job(job_id)])
        return job

    async def page(self, asked: ListJobs) -> JobPage:
        """Return a page of jobs, newest first.

        Raises:
            BadCursor: the cursor is not that of an earlier page.
        """
        page = await self._listing.page(asked)
        return JobPage(jobs=await self._show(page.jobs), cursor=page.cursor, is_complete=page.is_complete)

    async def replay(self, job_id: str, *, message_id: str | None = None) -> Job:
        """Run an ended job again with its original request; return a live job unchanged.

        A job that the message `message_id` has already run again is also returned unchanged.

        Raises:
            UnknownJob: no job has that id, or it ended too long ago.
            Busy: the queue is full.
        """
        await self.complete(job_id)  # its worker may have died before this, and a replay discards the result
        (job,) = await self._show([await self._replay(job_id, message_id)])
        self._clear_failures(job.key)
        return job

    async def complete(self, job_id: str) -> bool | None:
        """Return whether a job has ended; if it has, its callback is in the outbox when this returns.

        Return None if the job is not enqueued yet, or ended longer ago than jobs are stored.
        """
        try:
            queued = await self._queued_job(job_id)
        except UnknownJob:
            return None
        job, callback_url = self._describe(queued), _request_of(queued).callback_url
        if job.finished_at is None or job.created_at is None:
            return False
        if callback_url:
            await self._outbox.enqueue_callback(callback_for(job, callback_url, created_at=job.created_at))
        return True

    async def _replay(self, job_id: str, message_id: str | None) -> QueuedJob:
        async with self._deciding:
            queued = await self._queued_job(job_id)
            replays: tuple[str, ...] = tuple(queued.meta.get("replays", ()))
            if message_id in replays or (is_live(queued) and await join(self._queue, queued)):
                return queued
            if is_live(queued):
                raise Busy("The job is about to end; try again in a second.", retry_after_seconds=1)
            waiting = await self._live.waiting()
            if waiting >= self._queue_size:
                raise self._busy(waiting)
            again = _Submission(
                request=_request_of(queued),
                job_id=job_id,
                request_id=_request_id(),
                replays=(*replays, message_id)[-MOST_REPLAYS:] if message_id else replays,
            )
            self._live.add(job_id, again.request)
            return await self._enqueue(again)

    async def check(self) -> None:
        """Raise unless everything works that a post needs of the queues; see `JobQueue.check`.

        Raises:
            QueueUnavailable: a queue cannot be read or written.
        """
        await asyncio.gather(self._queue.check(), self._outbox.check_queue())
        await self._live.check()

    async def waiting(self) -> QueueStatus:
        """Return how many jobs wait, how long the oldest has waited, and the total concurrency of the workers."""
        return await self._live.status()

    async def deferred(self) -> int:
        """Return how many jobs wait outside of the size of the queue, for a retry after an unexpected error."""
        return await self._queue.count_deferred()

    async def _queued_job(self, job_id: str) -> QueuedJob:
        queued = await self._queue.job(job_id) if _ID.fullmatch(job_id) else None
        if queued is None:
            days = self._keep_seconds / DAY_SECONDS
            raise UnknownJob(f"No job has the id {job_id!r}, or it ended more than {days:.3g} days ago.")
        return queued

    async def _show(self, stored: Sequence[QueuedJob]) -> tuple[Job, ...]:
        """Return jobs as clients see them, with the states of their callbacks."""
        jobs = [self._describe(queued) for queued in stored]
        urls = [_request_of(queued).callback_url for queued in stored]
        ended = {
            callback_id(job.id, job.created_at): url
            for job, url in zip(jobs, urls, strict=True)
            if url and job.finished_at and job.created_at
        }
        states = await self._outbox.states(ended)
        return tuple(
            replace(job, callback=states.get(callback_id(job.id, job.created_at), waiting(url)))
            if url and job.created_at
            else job
            for job, url in zip(jobs, urls, strict=True)
        )

    def _describe(self, queued: QueuedJob) -> Job:
        request = _request_of(queued)
        wanted = request.sizes or self._recipe.names_of(request.key)
        return read_job(queued, key=request.key, wanted=wanted, recipe=self._recipe, addresses=self._addresses)

    async def _decide(self, posts: Sequence[_Submission]) -> list[QueuedJob | Exception]:
        """Return for each request its job, existing or new, or the error; `Busy` if the queue is full.

        Requests that arrive together are decided together, at the cost of one read of the queue and one commit.
        """
        async with self._deciding:
            if self._live.is_outdated:
                await self._live.refresh()
            there, waiting = await asyncio.gather(
                self._live.find(
                    [job_id for posted in posts for job_id in posted.known_ids],
                    originals={posted.request.key for posted in posts},
                ),
                self._live.waiting(),
            )
            open_ids = await self._join(posts, there)
            new: dict[str, _Submission] = {}
            chosen = [self._choose(posted, there, new, open_ids, waiting=waiting) for posted in posts]
            made = await asyncio.gather(*map(self._enqueue, new.values()), return_exceptions=True)
        jobs = {**there, **dict(zip(new, map(_fault_or_job, made), strict=True))}
        return [choice if isinstance(choice, Busy) else jobs[choice] for choice in chosen]

    async def _join(self, posts: Sequence[_Submission], there: Mapping[str, QueuedJob]) -> set[str]:
        """Join the live jobs that cover these posts. Return the ids of those that will look at their original again."""
        covering = {
            job_id
            for posted in posts
            if not there.keys() & {*posted.known_ids}
            for job_id in self._live.covering(posted.request)
            if job_id in there and not is_deferred(there[job_id])  # not one that became known after it was read
        }
        joined = await asyncio.gather(*(join(self._queue, there[job_id]) for job_id in covering))
        return {job_id for job_id, is_open in zip(covering, joined, strict=True) if is_open}

    def _choose(
        self,
        posted: _Submission,
        there: Mapping[str, QueuedJob],
        new: dict[str, _Submission],
        open_ids: set[str],
        *,
        waiting: int,
    ) -> str | Busy:
        if known := [job_id for job_id in posted.known_ids if job_id in there or job_id in new]:
            return known[0]
        for job_id in self._live.covering(posted.request):
            if job_id in open_ids or job_id in new:
                return job_id
        if waiting + len(new) >= self._queue_size:
            return self._busy(waiting + len(new))
        new[posted.job_id] = posted
        self._live.add(posted.job_id, posted.request)
        return posted.job_id

    async def _submission(self, request: JobRequest, idempotency_key: str | None) -> _Submission:
        if not idempotency_key:
            return _Submission(request=request, job_id=random_id(), request_id=_request_id())
        job_id = await self._ids.of_message(idempotency_key)
        known_ids = (job_id, former_id(idempotency_key))
        return _Submission(request=request, job_id=job_id, known_ids=known_ids, request_id=_request_id())

    def _busy(self, waiting: int) -> Busy:
        seconds = self._live.retry_after_seconds(waiting)
        return Busy(f"The queue is full ({waiting} jobs); try again in {seconds} s.", retry_after_seconds=seconds)

    async def _enqueue(self, posted: _Submission) -> QueuedJob:
        watch_task = await self._outbox.watch_job(posted.job_id, posted.request.callback_url)
        job = QueuedJob(
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
        try:
            queued = await self._queue.enqueue_within(self._queue_size, job)
        except QueueFull as full:  # by other processes, since the waiting jobs were counted
            await self._outbox.unwatch_job(watch_task)
            raise self._busy(full.waiting) from None
        reached("job-enqueued", posted.request.key)
        queued = queued or await self._queued_job(posted.job_id)  # a job with that id exists
        log.info("job_queued", job_id=posted.job_id, key=posted.request.key, request_id=posted.request_id)
        return queued


def _request_id() -> str:
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def _request_of(queued: QueuedJob) -> JobRequest:
    return msgspec.convert(queued.kwargs, JobRequest)


def _fault_or_job(made: QueuedJob | BaseException) -> QueuedJob | Exception:
    if isinstance(made, BaseException) and not isinstance(made, Exception):
        raise made  # a cancellation is not the result of a request
    return made
