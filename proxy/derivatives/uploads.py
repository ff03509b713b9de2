"""Uploads of the derivatives of one render, after a look whether the original is still the same."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from proxy import metrics
from proxy.derivatives.recipe import ETAG, Derivative, derivative_of
from proxy.errors import ImagesError, NotFound, StoreError, StoreUnavailable, TakenDown
from proxy.system.failpoints import reached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence

    from pipeline.protocol import Rendered
    from proxy.concurrency.admission import Ticket
    from proxy.concurrency.timings import Timings
    from proxy.derivatives.cache import DerivativeCache
    from proxy.derivatives.policy import GenerationPolicy
    from proxy.derivatives.provenance import Provenance
    from proxy.derivatives.recipe import Recipe
    from proxy.derivatives.results import Remake
    from proxy.stores.base import Blob, Store

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationTask:
    """An original, the derivatives wanted of it, and the ticket and timings of the request.

    `original` is None if the fetch is to show whether it exists; `remake` is then "unseen". `is_last` means that a
    change of the original is not followed by another task.
    """

    key: str
    original: Blob | None
    wanted: tuple[str, ...]
    remake: Remake
    is_last: bool
    ticket: Ticket
    timings: Timings


class OriginalChanged(Exception):
    """The original was replaced before anything was uploaded; raised only within this package."""


@dataclass(eq=False, slots=True, kw_only=True)
class Batch:
    """What one render is for: the due sizes, those of them that did not exist, and what was uploaded so far.

    `put_keys` includes keys whose uploads failed, `made` only what the store has confirmed.
    """

    task: GenerationTask
    original: Blob | None
    due: tuple[str, ...]
    absent: frozenset[str]
    put_keys: list[str] = field(default_factory=list)
    made: list[Derivative] = field(default_factory=list)


class Uploads:
    """The uploads of one render: some begin while other sizes are still rendered, the others at its end.

    `on_stored` is called with each derivative that the store has confirmed, and the seconds that this took.
    """

    def __init__(
        self,
        batch: Batch,
        fetched: Blob,
        *,
        store: Store,
        recipe: Recipe,
        policy: GenerationPolicy,
        provenance: Provenance,
        cache: DerivativeCache,
        on_stored: Callable[[Derivative, float], None],
    ) -> None:
        self._task, self._batch, self._fetched, self._cache = batch.task, batch, fetched, cache
        self._store, self._recipe, self._policy, self._provenance = store, recipe, policy, provenance
        self._on_stored = on_stored
        self._early: dict[str, asyncio.Task[Derivative | None]] = {}
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._newer_etag: str | None = None
        self.fetches_differ = False
        """Whether the store returned another ETag to the fetch than to the last look."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Wait at the end of the block for what `begin` has started; cancel it if the block is cancelled."""
        try:
            yield
        except asyncio.CancelledError:
            for upload in self._early.values():
                upload.cancel()
            raise
        finally:
            await asyncio.gather(*self._early.values(), return_exceptions=True)

    def begin(self, rendered: Rendered) -> None:
        """Upload a derivative now, while others are rendered, unless the original has changed."""
        self._early[rendered.size] = asyncio.create_task(self._put_early(rendered))

    async def finish(self, derivatives: Sequence[Rendered]) -> ImagesError | None:
        """Upload what has not been uploaded yet, wait for all uploads, and return the first failure, if any.

        Raises:
            NotFound, OriginalChanged: the original was removed or replaced; no further derivative was uploaded.
            StoreError: the store cannot be read.
        """
        outcomes = dict(
            zip(self._early, await asyncio.gather(*self._early.values(), return_exceptions=True), strict=True)
        )
        rest = [one for one in derivatives if outcomes.get(one.size) is None]
        newer_etag = await self._look() if rest else None
        puts = [self._put(one, newer_etag=newer_etag) for one in rest]
        kept = [*outcomes.values(), *await asyncio.gather(*puts, return_exceptions=True)]
        if self._batch.made and self._provenance.is_in_doubt:
            await self._learn_from(self._batch.made[0])
        return next(faults(kept), None)

    async def _put_early(self, rendered: Rendered) -> Derivative | None:
        try:
            newer_etag = await self._look()
        except (ImagesError, OriginalChanged):  # the look before the last uploads reports it
            return None
        return await self._put(rendered, newer_etag=newer_etag)

    async def _look(self) -> str | None:
        """Return the ETag of the original if it was replaced since it was fetched and this task is the last, or None.

        This process may have been stopped since the fetch, while another one rendered the new original. Some origins
        return a different ETag to each request, so the last task uploads nevertheless. A look counts for
        `GenerationPolicy.look_seconds`.

        Raises:
            NotFound, OriginalChanged: the original was removed, taken down or replaced, so nothing may be uploaded.
        """
        async with self._looking:
            if time.monotonic() - self._looked_at >= self._policy.look_seconds:
                if await self._policy.is_taken_down(self._task.key):
                    raise TakenDown(self._task.key)
                self._newer_etag = self._newer(await self._head(self._task.key))
                self._looked_at = time.monotonic()
            return self._newer_etag

    def _newer(self, now: Blob | None) -> str | None:
        if now is None:
            raise NotFound("The original was removed while it was rendered; upload it again.")
        looked_up = self._batch.original.etag if self._batch.original else self._fetched.etag
        if now.etag in (looked_up, self._fetched.etag):
            self.fetches_differ = now.etag != self._fetched.etag
            return None
        if not self._task.is_last:
            raise OriginalChanged
        return now.etag

    async def _put(self, rendered: Rendered, *, newer_etag: str | None) -> Derivative:
        started, task = time.perf_counter(), self._task
        key = self._recipe.key(self._fetched.key, rendered.size)
        existing = await self._head(key) if newer_etag else None
        if existing and existing.attributes.metadata.get(ETAG) == newer_etag:
            made = derivative_of(rendered.size, existing)  # another process rendered the newer original
        else:
            self._batch.put_keys.append(key)
            is_for_page = task.remake in ("missing", "unproven", "unseen")
            only_new = is_for_page and self._policy.conditional_writes and rendered.size in self._batch.absent
            upload = self._upload(rendered, key, only_new=only_new)
            try:
                made = await self._policy.timeouts.transfer(upload, rendered.bytes, unbounded=task.ticket.is_unbounded)
            finally:
                self._cache.remembered.evict(key)  # after the upload, even one that failed: it may be in the store
        self._batch.made.append(made)
        self._on_stored(made, time.perf_counter() - started)
        return made

    async def _upload(self, rendered: Rendered, key: str, *, only_new: bool) -> Derivative:
        attributes = self._recipe.attributes(rendered, original=self._fetched)
        put = self._store.put_new if only_new else self._store.put
        reached("derivative-due", self._task.key)
        blob = await put(key, Path(rendered.path), attributes)
        reached("derivative-put", self._task.key)
        if blob is None:  # another machine wrote it first, with the same bytes
            metrics.writes_lost_total.inc()
            blob = await self._store.head(key)
            if blob and not self._provenance.accepts(blob):  # it was not looked up before, and is not ours
                blob = await self._store.put(key, Path(rendered.path), attributes)
        else:
            metrics.upload_bytes_total.inc(blob.bytes)
        if blob is None:
            raise StoreUnavailable("A derivative was deleted right after it was written; try again.")
        return derivative_of(rendered.size, blob)

    async def _learn_from(self, made: Derivative) -> None:
        with suppress(StoreError):  # the upload is confirmed; the next one in doubt is read back
            self._provenance.learn(await self._head(made.key), written=made.bytes)

    async def _head(self, key: str) -> Blob | None:
        return await self._policy.timeouts.lookup(self._store.head(key), unbounded=self._task.ticket.is_unbounded)


async def delete_uploads(deletions: Iterable[Awaitable[None]], original: str) -> None:
    """Run the deletions of uploads of an original that was removed meanwhile; log the first failure, if any."""
    outcomes = await asyncio.gather(*deletions, return_exceptions=True)
    if fault := next(faults(outcomes), None):
        log.warning("derivatives_not_deleted", key=original, code=fault.code, detail=str(fault))


async def is_unsteady(look: Callable[[], Awaitable[Blob]]) -> bool:
    """Return whether looks in a row return different ETags of an original that has the same length in all.

    An upload between two of the three leaves the other two alike, and most uploads differ in length.
    """
    try:
        first, second, third = [await look() for _ in range(3)]
    except ImagesError:  # the next look reports it
        return False
    return first.etag != second.etag != third.etag and first.bytes == second.bytes == third.bytes


def faults(outcomes: Iterable[object]) -> Iterator[ImagesError]:
    """Yield every `ImagesError` among the outcomes; raise any other exception."""
    for outcome in outcomes:
        if isinstance(outcome, ImagesError):
            yield outcome
        elif isinstance(outcome, BaseException):
            raise outcome
