"""The job service: submits, lists and replays jobs, each of which renders the derivatives of one original."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

import msgspec
import structlog
from msgspec.structs import replace
from saq import Job as QueuedJob

from proxy.concurrency.batcher import Batcher
from proxy.errors import Busy, ImagesError, JobEnded, UnknownJob, UnknownJobSize, UnknownSize
from proxy.jobs.completion import callback_for, callback_id
from proxy.jobs.job import TAKE_DOWN, check_stored, read_job
from proxy.jobs.job_ids import JobIds, former_id, random_id
from proxy.jobs.joins import join
from proxy.jobs.listing import JobListing, JobPage
from proxy.jobs.live_jobs import LiveIndex, is_live
from proxy.jobs.request import JobRequest, Submission
from proxy.jobs.takedown.tombstones import Tombstone, Tombstones
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

TAKEDOWN_ATTEMPTS = 1_000_000
"""The queue's limit for a takedown, which is retried for as long as it takes."""

_ID = re.compile(r"[0-9a-f]{32}")
"""The format of a job id. No other string is passed to the queue; PostgreSQL, for one, fails on a NUL character."""


def _ignore(_original: str) -> None:
    """Do nothing."""


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
        self.tombstones = Tombstones(queue)
        queue.expect(FUNCTION, check_stored)
        queue.expect(TAKE_DOWN, check_stored)
        self._listing = JobListing(queue)
        self._posts: Batcher[Submission, QueuedJob] = Batcher(self._decide, most=1 if queue.is_shared else None)
        self._deciding = asyncio.Lock()

    async def submit(
        self, request: JobRequest, *, idempotency_key: str | None = None, posted_at: int | None = None
    ) -> Job:
        """Submit the request of a signed post or upload and return its job, which is stored in the queue by then.

        The same idempotency key returns the same job while that is stored. A live job that covers the request is
        returned; see `JobRequest.covers`. If the original was taken down before `posted_at`, in seconds since the
        epoch and by default now, its tombstone ends.

        Raises:
            BadKey, UnknownJobSize, BadCallback: the request is invalid.
            Busy: the queue is full, or the original is being taken down.
            OrderTakenDown: the original was taken down after `posted_at`.
        """
        return await self._submit(request, idempotency_key, int(time.time()) if posted_at is None else posted_at)

    async def submit_unless_taken_down(self, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        """Submit a request as `submit` does, for what is no signed post and so ends no tombstone.

        Raises:
            BadKey, UnknownJobSize, BadCallback, Busy: see `submit`.
            OrderTakenDown: the original was taken down.
        """
        return await self._submit(request, idempotency_key, None)

    async def take_down(self, key: str, *, callback_url: str = "", message_id: str | None, signed_at: int) -> Job:
        """Submit a takedown of an original, and return its job; its tombstone is stored by then.

        The same message returns the same job. A takedown that has not ended is joined. `signed_at` is in seconds since
        the epoch: only posts that are signed later end the tombstone.

        Raises:
            BadKey, BadCallback: the request is invalid.
            Busy: the queue is full.
        """
        request = JobRequest(key=key, callback_url=callback_url, takes_down=True)
        return await self._submit(request, message_id and f"takedown\n{message_id}", signed_at)

    async def _submit(self, request: JobRequest, idempotency_key: str | None, posted_at: int | None) -> Job:
        self.check_request(request)
        submission = await self._submission(request, idempotency_key, posted_at)
        (job,) = await self._show([await self._posts.ask(submission)])
        self._clear_failures(job.key)  # in this process; the process that runs the job does the same
        return job

    def check_request(self, request: JobRequest) -> None:
        """Raise `BadKey`, `UnknownJobSize` or `BadCallback` if a request is invalid in itself."""
        try:
            self._recipe.check(request.key, request.sizes)
        except UnknownSize as fault:
            raise UnknownJobSize(str(fault)) from fault
        self._outbox.check(request.callback_url)

    async def raise_if_full(self) -> None:
        """Raise `Busy` if the queue takes no job at the moment."""
        waiting = await self._live.waiting()
        if waiting >= self._queue_size:
            raise self._busy(waiting)

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
            if _request_of(queued).takes_down:
                raise JobEnded("A takedown is not run again; request it again with DELETE /v1/images/<key>.")
            replays: tuple[str, ...] = tuple(queued.meta.get("replays", ()))
            if message_id in replays or (is_live(queued) and await join(self._queue, queued)):
                return queued
            if is_live(queued):
                raise Busy("The job is about to end; try again in a second.", retry_after_seconds=1)
            await self.raise_if_full()
            again = Submission(
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
            days = self._keep_seconds / 86_400
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
        wanted = () if request.takes_down else request.sizes or self._recipe.names_of(request.key)
        return read_job(queued, key=request.key, wanted=wanted, recipe=self._recipe, addresses=self._addresses)

    async def _decide(self, posts: Sequence[Submission]) -> list[QueuedJob | Exception]:
        """Return for each request its job, existing or new, or the error; `Busy` if the queue is full.

        Requests that arrive together are decided together, at the cost of one read of the queue and one commit.
        """
        async with self._deciding:
            if self._live.is_outdated:
                await self._live.refresh()
            originals = {posted.request.key for posted in posts}
            there, waiting, tombstones = await asyncio.gather(
                self._live.find([job_id for posted in posts for job_id in posted.known_ids], originals=originals),
                self._live.waiting(),
                self.tombstones.find_all(originals),
            )
            refused = {id(posted): await self._refusal(posted, there, tombstones) for posted in posts}
            open_ids = await self._join(posts, there)
            new: dict[str, Submission] = {}
            chosen = [
                refused[id(posted)] or self._choose(posted, there, new, open_ids, waiting=waiting) for posted in posts
            ]
            for posted, choice in zip(posts, chosen, strict=True):
                if posted.request.takes_down and not isinstance(choice, ImagesError):
                    await self._add_tombstone(posted, choice, there)
            made = await asyncio.gather(*map(self._enqueue_new, new.values()), return_exceptions=True)
        jobs = {**there, **dict(zip(new, map(_fault_or_job, made), strict=True))}
        return [choice if isinstance(choice, ImagesError) else jobs[choice] for choice in chosen]

    async def _refusal(
        self, posted: Submission, there: Mapping[str, QueuedJob], tombstones: Mapping[str, Tombstone]
    ) -> ImagesError | None:
        """Return why a post for an original with a tombstone is refused, or None; a later post ends the tombstone."""
        tombstone = tombstones.get(posted.request.key)
        is_repeated = bool(there.keys() & {*posted.known_ids})  # it orders nothing new
        if tombstone is None or posted.request.takes_down or is_repeated:
            return None
        return await self.tombstones.end(posted.request.key, tombstone, posted_at=posted.posted_at)

    async def _add_tombstone(self, posted: Submission, job_id: str, there: Mapping[str, QueuedJob]) -> None:
        if posted.posted_at is not None and not there.keys() & {*posted.known_ids}:
            await self.tombstones.add(posted.request.key, Tombstone(at=posted.posted_at, job_id=job_id))

    async def _join(self, posts: Sequence[Submission], there: Mapping[str, QueuedJob]) -> set[str]:
        """Join the live jobs that cover these posts. Return the ids of the jobs that will read their original again."""
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
        posted: Submission,
        there: Mapping[str, QueuedJob],
        new: dict[str, Submission],
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

    async def _submission(self, request: JobRequest, idempotency_key: str | None, posted_at: int | None) -> Submission:
        job_id = await self._ids.of_message(idempotency_key) if idempotency_key else random_id()
        known_ids = (job_id, former_id(idempotency_key)) if idempotency_key else ()
        return Submission(
            request=request, job_id=job_id, known_ids=known_ids, request_id=_request_id(), posted_at=posted_at
        )

    def _busy(self, waiting: int) -> Busy:
        seconds = self._live.retry_after_seconds(waiting)
        return Busy(f"The queue is full ({waiting} jobs); try again in {seconds} s.", retry_after_seconds=seconds)

    async def _enqueue_new(self, posted: Submission) -> QueuedJob:
        """Enqueue a job, unless another process did so meanwhile: it may have ended, and must not run again."""
        there = await self._queue.job(posted.job_id) if posted.known_ids else None
        return there or await self._enqueue(posted)

    async def _enqueue(self, posted: Submission) -> QueuedJob:
        watch_task = await self._outbox.watch_job(posted.job_id, posted.request.callback_url)
        job = QueuedJob(
            TAKE_DOWN if posted.request.takes_down else FUNCTION,
            key=posted.job_id,
            kwargs=msgspec.to_builtins(posted.request),
            timeout=TIMEOUT_SECONDS,
            retries=TAKEDOWN_ATTEMPTS if posted.request.takes_down else ATTEMPTS,
            retry_delay=1.0,
            retry_backoff=60.0,
            ttl=self._keep_seconds,
            meta={"request_id": posted.request_id} | ({"replays": posted.replays} if posted.replays else {}),
        )
        try:
            queued = await self._queue.enqueue_within(self._queue_size, job)
        except QueueFull as full:  # by other processes, since the waiting jobs were counted
            await self._outbox.unwatch_job(watch_task)
            if posted.request.takes_down and posted.posted_at is not None:
                tombstone = Tombstone(at=posted.posted_at, job_id=posted.job_id)
                await self.tombstones.remove(posted.request.key, tombstone)
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
