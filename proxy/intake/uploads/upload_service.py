"""The upload service: issues URLs, and takes an upload from its first byte to its job."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog
from anyio import fail_after

from pipeline.errors import Refused
from proxy import metrics
from proxy.concurrency.admission import Admission, Priority
from proxy.derivatives.store_timeouts import PageTimeouts
from proxy.errors import (
    Busy,
    ImagesError,
    NoRoom,
    OrderTakenDown,
    OriginalExists,
    QueueUnavailable,
    StoreError,
    StoreRefused,
    UploadCutOff,
    UploadTooSlow,
    UploadUnderWay,
    UploadUrlEnded,
)
from proxy.intake.uploads.arrival import Arrival
from proxy.keys.syntax import shown
from proxy.stores.base import Attributes
from proxy.system.failpoints import reached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from proxy.intake.uploads.order import UploadOrder
    from proxy.intake.uploads.urls import UploadGrant, UploadUrl, UploadUrls
    from proxy.jobs.job import Job
    from proxy.jobs.service import JobService
    from proxy.stores.base import Blob, Store
    from proxy.system.scratch import ScratchSpace
    from proxy.webhooks.handled import HandledMessages

log = structlog.get_logger(__name__)

AT_ONCE: Final = 16
"""How many uploads are read at once; each holds what one read returns, at most 100 KB."""

WAITING: Final = 16
"""How many more wait for their turn, unread."""

UPLOAD_SECONDS: Final = 600.0
"""How long an upload may take: 30 MiB at 50 KiB a second."""

USED_SECONDS: Final = 3600.0
"""How long it is remembered that a URL was used: longer than one signed order can get URLs that are valid."""

UPLOAD: Final = "upload"
"""The metadata of an uploaded original: the id of its grant, by which a repeated upload recognises it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPolicy:
    """The limits of uploads, and where their bytes wait until they are complete."""

    max_bytes: int
    scratch: ScratchSpace
    upload_seconds: float = UPLOAD_SECONDS
    timeouts: PageTimeouts = field(default_factory=PageTimeouts)


class UploadService:
    """A service that issues upload URLs and receives the uploads.

    An upload is written to the scratch folder, and to the store once it is complete and checked. So a cut off upload
    leaves nothing in the store, and the memory is the same for every length. All uploads together take at most half
    of the scratch space, or one upload: renders need the rest.
    """

    def __init__(
        self, *, store: Store, jobs: JobService, urls: UploadUrls, handled: HandledMessages, policy: UploadPolicy
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._urls = urls
        self._handled = handled
        self._policy = policy
        room_bytes = max(policy.max_bytes, policy.scratch.room_bytes // 2)
        self._turns = Admission(slots=AT_ONCE, budget_bytes=room_bytes, waiting=WAITING)
        self._running: set[str] = set()

    def order(self, order: UploadOrder, *, message_id: str | None, ordered_at: int) -> UploadUrl:
        """Return the URL to which the original may be uploaded; see `UploadUrls.issue`.

        Raises:
            BadKey, UnknownJobSize, BadCallback, TooManyBytes: the order is invalid.
        """
        self._jobs.check_request(order.job)
        self._arrival(order).check_announced(order.bytes or None)
        return self._urls.issue(order, message_id=message_id, ordered_at=ordered_at)

    async def receive(self, token: str, chunks: AsyncIterator[bytes], *, announced_bytes: int | None) -> Job:
        """Store an upload, and return its job; both are durable when this returns.

        Until then, the same URL can be used again. If the job cannot be queued, the original remains.

        Raises:
            BadUploadUrl, UploadUrlEnded, UploadUnderWay: the URL is not valid, not any longer, or not now.
            OriginalExists: the original exists, and the order does not replace it.
            NotAnImage, UnsupportedFormat, UnfitUpload, TooManyBytes: the file is not what may be uploaded.
            UploadCutOff, UploadTooSlow: it did not arrive as a whole, or not in time.
            Busy: too many uploads run, the queue is full, or the original is being taken down.
            OrderTakenDown: the original was taken down after the upload was ordered.
            StoreError, QueueUnavailable, NoRoom: it cannot be stored, or its job cannot be queued.
        """
        grant = self._urls.read(token)
        began = time.monotonic()
        try:
            job = await self._receive(grant, chunks, announced_bytes)
        except (ImagesError, Refused) as error:
            metrics.uploads_total.labels(_outcome(error)).inc()
            log.info("upload_failed", key=grant.order.key, code=error.code, detail=str(error))
            raise
        metrics.uploads_total.labels("stored").inc()
        seconds = round(time.monotonic() - began, 3)
        log.info("upload_stored", key=job.key, job_id=job.id, seconds=seconds)
        return job

    async def _receive(self, grant: UploadGrant, chunks: AsyncIterator[bytes], announced_bytes: int | None) -> Job:
        order, arrival = grant.order, self._arrival(grant.order)
        if job_id := await self._handled.earlier(grant.id, what=UPLOAD):
            raise UploadUrlEnded(f"The upload URL was used; its job is /v1/jobs/{job_id}. Order another one.")
        with self._alone(grant.id):
            await self._raise_if_kept(grant)
            arrival.check_announced(announced_bytes)
            await self._jobs.raise_if_full()
            await self._jobs.tombstones.raise_if_refused(order.key, posted_at=grant.ordered_at)
            size = announced_bytes or order.bytes or self._policy.max_bytes
            async with self._folder(size) as folder:
                path = folder / "upload"
                content_type = await self._arrived(arrival, chunks, path)
                attributes = Attributes(content_type=content_type, metadata={UPLOAD: grant.id}, has_acl=False)
                await self._jobs.tombstones.raise_if_refused(order.key, posted_at=grant.ordered_at)
                await self._policy.timeouts.transfer(self._put(grant, path, attributes), size, unbounded=False)
            reached("upload-stored", order.key)
            job = await self._submit(grant)
            await self._handled.record(grant.id, what=UPLOAD, result=job.id, seconds=USED_SECONDS)
        return job

    def _arrival(self, order: UploadOrder) -> Arrival:
        return Arrival(order, max_bytes=self._policy.max_bytes)

    @contextmanager
    def _alone(self, grant_id: str) -> Iterator[None]:
        if grant_id in self._running:
            raise UploadUnderWay("Another upload to this URL is running; wait for its end, or order another URL.")
        self._running.add(grant_id)
        try:
            yield
        finally:
            self._running.discard(grant_id)

    async def _raise_if_kept(self, grant: UploadGrant) -> None:
        """Raise if the original exists and is to be kept; one that an earlier upload to this URL left is not."""
        if grant.order.replace:
            return
        found = await self._policy.timeouts.lookup(self._store.head(grant.order.key))
        if found and not _is_from(found, grant):
            raise OriginalExists(
                f"The original {shown(grant.order.key)} exists and is kept. Choose another key, or order the upload "
                'with "replace": true.'
            )

    @asynccontextmanager
    async def _folder(self, size: int) -> AsyncIterator[Path]:
        """Yield a folder for an upload of `size` bytes, once it is its turn."""
        ticket = self._policy.timeouts.ticket(Priority.PAGE)
        async with AsyncExitStack() as stack:
            try:
                stack.enter_context(self._turns.admit(ticket))
                await stack.enter_async_context(self._turns.reserve(ticket, size))
                folder = await stack.enter_async_context(self._policy.scratch.folder(size, ticket))
            except Busy as busy:
                seconds = busy.retry_after_seconds
                raise Busy(
                    f"Too many uploads are running; try again in {seconds} s.", retry_after_seconds=seconds
                ) from busy
            yield folder

    async def _arrived(self, arrival: Arrival, chunks: AsyncIterator[bytes], path: Path) -> str:
        seconds = self._policy.upload_seconds
        try:
            with fail_after(seconds):  # anyio's, which lets the thread that writes end first
                return await arrival.save(chunks, path)
        except TimeoutError:
            raise UploadTooSlow(f"The upload took more than {seconds:g} s; try again, or a smaller file.") from None

    async def _put(self, grant: UploadGrant, path: Path, attributes: Attributes) -> None:
        """Store the original, unless another one came into being meanwhile that is to be kept."""
        key = grant.order.key
        if not grant.order.replace:
            with suppress(StoreRefused):  # some servers have no conditional writes; a refusal of all is raised below
                if await self._store.put_new(key, path, attributes):
                    return
            await self._raise_if_kept(grant)
        await self._store.put(key, path, attributes)

    async def _submit(self, grant: UploadGrant) -> Job:
        """Submit the job of a stored original; one that was taken down meanwhile is removed again."""
        try:
            return await self._jobs.submit(grant.order.job, posted_at=grant.ordered_at)
        except OrderTakenDown:
            await self._remove(grant.order.key)
            raise

    async def _remove(self, key: str) -> None:
        """Remove an original that was taken down, with its versions."""
        await self._store.delete(key)
        async for one in self._store.versions(key):
            if one.key == key and not one.is_plain:
                await self._store.delete_version(key, one.version)


def _is_from(blob: Blob, grant: UploadGrant) -> bool:
    return blob.attributes.metadata.get(UPLOAD) == grant.id


def _outcome(error: Exception) -> str:
    if isinstance(error, UploadCutOff):
        return "cut-off"
    return "failed" if isinstance(error, Busy | NoRoom | QueueUnavailable | StoreError) else "refused"
