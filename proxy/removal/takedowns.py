"""Takedowns: each removes a picture from the store and from the CDN, and ends when its public addresses are gone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from msgspec.structs import replace
from saq.job import Status

from proxy.concurrency.backoff import Backoff
from proxy.errors import Busy, CdnPurgeFailed, ImagesError, PermissionMissing, TakedownUnfinished, public_message
from proxy.jobs.job import TAKE_DOWN, JobError, JobOutcome
from proxy.jobs.joins import close
from proxy.jobs.live_jobs import MOST_READ
from proxy.jobs.request import JobRequest
from proxy.jobs.retry_policies import MOST_DEFERRED, count_try, unexpected
from proxy.jobs.takedown.receipt import PublicAddress, RemovedBlob, TakedownReceipt
from proxy.jobs.takedown.tombstones import Tombstone
from proxy.queues.base import DEFERRED
from proxy.queues.worker import RetryLater
from proxy.removal.addresses import is_served, statuses
from proxy.removal.picture_copies import check_deletable, delete_copies, find_copies
from proxy.system.failpoints import reached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import saq
    from saq.types import Context

    from proxy.derivatives.service import DerivativeService
    from proxy.errors import StoreError
    from proxy.jobs.job import Job
    from proxy.jobs.service import JobService
    from proxy.queues.base import JobQueue
    from proxy.removal.addresses import PublicUrls
    from proxy.removal.cdn.base import CdnPurger
    from proxy.removal.late_writes import LateWrites
    from proxy.removal.picture_copies import Versions

log = structlog.get_logger(__name__)

WAITS: Final = Backoff(first_seconds=1.0, longest_seconds=300.0)
"""The waits between the attempts of a takedown, which is retried for as long as it takes."""

MOST_LOOKS: Final = 5
"""How often one attempt looks for copies: the first look finds them, a later one what deletions and stragglers left."""

MOST_NAMED: Final = 3
"""How many addresses a message names."""

TRIES: Final = "takedown"
"""The name under which a job counts its attempts."""


async def _never(_error: StoreError) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class TakedownPolicy:
    """Where the public reads the pictures, and how.

    `settle_seconds`: how long other processes may serve from memory what the store no longer has.
    `judge`: returns why the store refuses everything; None if an error does not mean that.
    """

    urls: PublicUrls
    purger: CdnPurger | None = None
    settle_seconds: float = 0.0
    judge: Callable[[StoreError], Awaitable[StoreError | None]] = _never


class _Unsettled(TakedownUnfinished):
    """Other processes may still have the picture in memory, for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Other processes may still have the picture in memory.")
        self.retry_after_seconds = seconds


class Takedowns:
    """The takedowns of originals: requests for them, and the function of the worker that runs them."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        jobs: JobService,
        derivatives: DerivativeService,
        policy: TakedownPolicy,
        late_writes: LateWrites,
        waits: Backoff = WAITS,
    ) -> None:
        self._queue = queue
        self._jobs = jobs
        self._store = late_writes.store
        self._derivatives = derivatives
        self._recipe = derivatives.recipe
        self._policy = policy
        self._late_writes = late_writes
        self._waits = waits

    async def request(self, key: str, *, callback_url: str = "", message_id: str | None, signed_at: int) -> Job:
        """Check that a picture can be taken down, and submit a job for it; see `JobService.take_down`.

        Raises:
            BadKey, BadCallback: the request is invalid.
            PermissionMissing, CdnPurgeRefused: a permission is missing, which the message names; nothing was removed.
            StoreError, CdnPurgeFailed: the store or the CDN does not respond.
            Busy: the queue is full, or too many takedowns wait.
        """
        self._recipe.check(key, [])
        await self._check_permissions(key)
        if self._policy.purger:
            await self._policy.purger.check()
        if await self._queue.count_deferred() >= MOST_DEFERRED:
            raise Busy("Too many takedowns and retries wait; try again in a minute.", retry_after_seconds=60)
        return await self._jobs.take_down(key, callback_url=callback_url, message_id=message_id, signed_at=signed_at)

    async def _check_permissions(self, key: str) -> None:
        """Check the permissions of the store, again if they seem to be missing only because it refused everything.

        Raises:
            PermissionMissing: one is missing.
            StoreError: the store refuses everything, or does not respond.
        """
        for is_last in (False, True):
            try:
                await check_deletable(self._store, key, await find_copies(self._store, self._recipe, key))
            except PermissionMissing as missing:
                if (fault := await self._policy.judge(missing)) is not None:
                    raise fault from missing
                if is_last:
                    raise
            else:
                return

    async def preview(self, key: str) -> TakedownReceipt:
        """Return what a takedown of an original would remove now, and the public addresses that it would check.

        Raises:
            BadKey: this is not the key of an original.
            PermissionMissing, StoreError: the store cannot be listed.
        """
        self._recipe.check(key, [])
        copies = await find_copies(self._store, self._recipe, key)
        addresses = tuple(PublicAddress(url=one) for one in self._named(key, copies))
        return TakedownReceipt(removed=_added((), copies), addresses=addresses)

    async def is_taken_down(self, original: str) -> bool:
        """Return whether an original was taken down; see `Tombstones`."""
        return await self._jobs.tombstones.is_taken_down(original)

    async def remove_derivatives(self, original: str) -> None:
        """Remove what a render has left of an original after its takedown; raises what `LateWrites.remove` raises."""
        await self._derivatives.exclusively(original, lambda: self._late_writes.remove(original))

    async def take_down(self, context: Context, **request: object) -> object:
        """Run a takedown, and return the outcome, which the queue stores with the job.

        Raises:
            RetryLater: it has to be continued later.
        """
        job, key = context["job"], msgspec.convert(request, JobRequest).key
        try:
            await self._attempt(job, key)
        except ImagesError as fault:
            raise _put_off(job, fault, self._waits) from None
        except Exception as error:
            log.exception("unexpected_error")
            raise _put_off(job, unexpected(error), self._waits) from None
        receipt = _receipt(job)
        log.info("takedown_done", blobs=len(receipt.removed), addresses=len(receipt.addresses))
        return msgspec.to_builtins(JobOutcome(takedown=receipt))

    async def _attempt(self, job: saq.Job, key: str) -> None:
        """Remove what there is of the picture, and then check that nothing serves it.

        Raises:
            TakedownUnfinished: something may still serve it, or bring it back.
            ImagesError: the store, the CDN or the queue failed.
        """
        await self._keep_tombstone(job, key)
        is_rendered = await self._is_rendered(key)  # before the last look: what starts later finds the tombstone
        await self._derivatives.exclusively(key, lambda: self._remove(job, key))
        reached("takedown-removed", key)
        await self._purge(job)
        reached("takedown-purged", key)
        await self._check_addresses(job)
        if is_rendered:
            raise TakedownUnfinished("A job of the original is still running.")
        if (seconds := float(job.meta.get("removed_at", 0.0)) + self._policy.settle_seconds - time.time()) > 0:
            raise _Unsettled(min(seconds, self._policy.settle_seconds))  # the clock may have been set back
        if await find_copies(self._store, self._recipe, key):
            raise TakedownUnfinished("Copies of the picture were written meanwhile.")
        if await close(self._queue, job):
            raise TakedownUnfinished("The takedown was requested again.")

    async def _keep_tombstone(self, job: saq.Job, key: str) -> None:
        """Store the tombstone again if it has expired, because the takedown has taken longer than that."""
        if not await self.is_taken_down(key):
            await self._jobs.tombstones.add(key, Tombstone(at=job.queued // 1000, job_id=job.key))

    async def _is_rendered(self, key: str) -> bool:
        """Return whether a worker runs a job of the original."""
        live = await self._queue.snapshot(frozenset(), limit=MOST_READ)
        ids = [job_id for job_id, request in live.new.items() if request.get("key") == key]
        found = await self._queue.jobs(ids) if ids else []
        running = (Status.ACTIVE, Status.ABORTING)
        return any(one and one.function != TAKE_DOWN and one.status in running for one in found)

    async def _remove(self, job: saq.Job, key: str) -> None:
        for _ in range(MOST_LOOKS):
            copies = await find_copies(self._store, self._recipe, key)
            await self._record(job, key, copies)
            if not copies:
                return
            await delete_copies(self._store, copies)
        raise TakedownUnfinished("Something writes copies of the picture as fast as they are removed.")

    async def _record(self, job: saq.Job, key: str, copies: Versions) -> None:
        """Store with the job what is about to be removed, so that the receipt is complete whatever happens then."""
        before = _receipt(job)
        named = self._named(key, copies)
        known = {one.url: one for one in before.addresses}
        addresses = tuple(
            PublicAddress(url=one) if copies else known.get(one, PublicAddress(url=one))
            for one in dict.fromkeys((*known, *named))
        )
        receipt = TakedownReceipt(removed=_added(before.removed, copies), addresses=addresses)
        if receipt != before:
            job.meta["removed_at"] = time.time()
            await self._store_receipt(job, receipt)

    def _named(self, key: str, copies: Versions) -> tuple[str, ...]:
        """Return the public addresses of an original and of these copies."""
        return self._policy.urls.of(key, self._recipe.names_of(key), (*self._recipe.keys_of(key), *copies))

    async def _purge(self, job: saq.Job) -> None:
        """Purge the CDN's copies of all addresses that were not purged yet or still serve the picture."""
        receipt = _receipt(job)
        due = [one.url for one in receipt.addresses if not one.purged or (one.status and is_served(one))]
        if not due or self._policy.purger is None:
            return
        await self._policy.purger.purge(due)
        purged = tuple(replace(one, purged=True) for one in receipt.addresses)
        await self._store_receipt(job, replace(receipt, addresses=purged))

    async def _check_addresses(self, job: saq.Job) -> None:
        receipt = _receipt(job)
        answers = await statuses([one.url for one in receipt.addresses])
        addresses = tuple(replace(one, status=status) for one, status in zip(receipt.addresses, answers, strict=True))
        await self._store_receipt(job, replace(receipt, addresses=addresses))
        if served := [one for one in addresses if is_served(one)]:
            raise TakedownUnfinished(_named(served))

    async def _store_receipt(self, job: saq.Job, receipt: TakedownReceipt) -> None:
        job.result = msgspec.to_builtins(JobOutcome(takedown=receipt))
        await self._queue.update(job)


def _put_off(job: saq.Job, fault: ImagesError, waits: Backoff) -> RetryLater:
    """Reschedule a takedown outside of the size of the queue, with the reason and the time in its result."""
    wait = waits.wait_seconds(count_try(job, TRIES))
    asked = fault.retry_after_seconds if isinstance(fault, CdnPurgeFailed | _Unsettled) else None
    job.priority, job.retry_delay, job.retry_backoff = DEFERRED, max(wait, asked or 0.0), False
    error = JobError(code=fault.code, detail=public_message(fault))
    outcome = JobOutcome(takedown=_receipt(job), error=error, retry_at=time.time() + job.retry_delay)
    job.result = msgspec.to_builtins(outcome)
    log.warning(
        "takedown_retry_scheduled", code=fault.code, detail=str(fault), retry_in_seconds=round(job.retry_delay, 1)
    )
    return RetryLater(f"{fault.code}: {fault}")


def _receipt(job: saq.Job) -> TakedownReceipt:
    return msgspec.convert(job.result or {}, JobOutcome).takedown or TakedownReceipt()


def _added(removed: Sequence[RemovedBlob], copies: Versions) -> tuple[RemovedBlob, ...]:
    """Return what was removed before and what is removed now; a version that is found again counts once."""
    found = {one.key: one for one in removed}
    for key, versions in copies.items():
        before = found.get(key, RemovedBlob(key=key))
        new = [one for one in versions if one.version not in before.versions]
        found[key] = RemovedBlob(
            key=key,
            versions=(*before.versions, *(one.version for one in new)),
            bytes=before.bytes + sum(one.bytes for one in new),
        )
    return tuple(found.values())


def _named(served: Sequence[PublicAddress]) -> str:
    shown = ", ".join(f"{one.url} ({one.status or 'no answer'})" for one in served[:MOST_NAMED])
    more = f" and {len(served) - MOST_NAMED} more" if len(served) > MOST_NAMED else ""
    return f"These addresses do not answer 404 or 403 yet: {shown}{more}."
