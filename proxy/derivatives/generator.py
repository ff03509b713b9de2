"""Generates derivatives of one original: fetches it, renders it and uploads the results."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.errors import Refused
from pipeline.protocol import Render
from proxy import metrics
from proxy.derivatives.provenance import Provenance, is_picture
from proxy.derivatives.recipe import ETAG, Derivative, derivative_of
from proxy.derivatives.results import GenerationResult
from proxy.errors import Busy, ImagesError, NotFound, StoreError, StoreUnavailable, TooManyBytes
from proxy.system.failpoints import reached

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.protocol import Rendered
    from proxy.concurrency.admission import Ticket
    from proxy.concurrency.timings import Timings
    from proxy.derivatives.cache import DerivativeCache
    from proxy.derivatives.policy import GenerationPolicy
    from proxy.derivatives.recipe import Recipe
    from proxy.derivatives.results import Remake
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob, Store

UNSEEN_AT_ONCE: Final = 8
"""How many originals are fetched at once without a lookup before: a flood of keys that do not exist fills no queue."""


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
class _Batch:
    """What one render is for: the due sizes, those of them that did not exist, and the keys uploaded to so far."""

    original: Blob | None
    due: tuple[str, ...]
    absent: frozenset[str]
    put_keys: list[str] = field(default_factory=list)


class Generator:
    """A generator of derivatives; `DerivativeService` decides which requests run when."""

    def __init__(
        self,
        *,
        store: Store,
        render_pool: RenderPool,
        recipe: Recipe,
        cache: DerivativeCache,
        policy: GenerationPolicy,
    ) -> None:
        self._store = store
        self._render_pool = render_pool
        self._recipe = recipe
        self._cache = cache
        self._policy = policy
        self.provenance = Provenance()
        self._unseen: set[_Batch] = set()
        self._fetches_differ = False
        """Whether the store returns another ETag to a fetch than to a lookup, as some origins do."""

    @property
    def may_fetch_unseen(self) -> bool:
        """Whether an original may be fetched without a lookup before, which saves a call."""
        return len(self._unseen) < UNSEEN_AT_ONCE and not self._fetches_differ

    async def make(self, task: GenerationTask) -> GenerationResult:
        """Generate the wanted derivatives that are due.

        A failure is returned in the result, beside the derivatives that exist all the same.

        Raises:
            StoreError: the store cannot be read, so it is unknown which derivatives are due.
            OriginalChanged: the original was replaced while it was rendered, and the task is not the last one.
        """
        blobs: dict[str, Blob | None] = {} if task.remake in ("unseen", "all") else await self._look_up(task)
        there = {
            name: derivative_of(name, blob)
            for name, blob in blobs.items()
            if blob and self._is_usable(blob, name, task)
        }
        due = tuple(name for name in task.wanted if name not in there)
        absent = frozenset(name for name in due if blobs.get(name) is None)
        batch = _Batch(original=task.original, due=due, absent=absent)
        fault: Refused | ImagesError | None = None
        if due:
            if task.original is None:
                self._unseen.add(batch)
            try:
                made, fault = await self._generate(task, batch)
            except (Refused, ImagesError) as error:
                made, fault = (), await self._failure(task, batch, error)
            else:
                self._cache.failures.evict(task.key)
            finally:
                self._unseen.discard(batch)
            there |= {one.size: one for one in made}
        for one in there.values():
            self._cache.known.put(one.key, value=True)
        return GenerationResult(
            derivatives=tuple(there[name] for name in task.wanted if name in there),
            fault=fault,
            was_generated=bool(due),
            original=batch.original,
            put_keys=tuple(batch.put_keys),
            timings=task.timings,
        )

    async def _look_up(self, task: GenerationTask) -> dict[str, Blob | None]:
        """Return the blobs under the keys of the wanted derivatives, by size."""
        with task.timings.measure_store():
            heads = (self._head(self._recipe.key(task.key, name), task) for name in task.wanted)
            return dict(zip(task.wanted, await asyncio.gather(*heads), strict=True))

    def _is_usable(self, blob: Blob, size: str, task: GenerationTask) -> bool:
        """Return whether a derivative need not be generated."""
        if task.remake == "unproven" or task.original is None:
            return self.provenance.accepts(blob)
        libvips = self._render_pool.libvips
        return is_picture(blob) and (
            task.remake == "missing" or self._recipe.is_fresh(blob, original=task.original, size=size, libvips=libvips)
        )

    async def _head(self, key: str, task: GenerationTask) -> Blob | None:
        return await self._policy.timeouts.lookup(self._store.head(key), unbounded=task.ticket.is_unbounded)

    async def _failure(
        self, task: GenerationTask, batch: _Batch, fault: Refused | ImagesError
    ) -> Refused | ImagesError:
        """Cache a failure that would recur with the same bytes, count refusals, and return the error to report."""
        if batch.original is None and isinstance(fault, Busy | TooManyBytes):
            batch.original = await self._head(task.key, task)
            if batch.original is None:  # a full queue is no reason to retry what does not exist
                return absence(task.key)
        if batch.original is None:
            return fault
        fault = self._cache.record_failure(task.key, fault, etag=batch.original.etag)
        if isinstance(fault, Refused | TooManyBytes):
            metrics.refused_total.labels(fault.code).inc()
        return fault

    async def _generate(self, task: GenerationTask, batch: _Batch) -> tuple[tuple[Derivative, ...], ImagesError | None]:
        """Generate the due sizes; return them, and the error that kept others out of the store.

        Raises:
            Busy: the queue is full, or too long for a caller with a maximum wait.
            Refused, TooManyBytes, DeadlineExceeded, ProcessDied, StoreError: nothing was generated.
            NotFound, OriginalChanged: the original was removed or replaced; nothing was uploaded.
        """
        size = min(task.original.bytes, self._policy.max_bytes) if task.original else self._policy.max_bytes
        async with AsyncExitStack() as stack:
            stack.enter_context(self._render_pool.admit(task.ticket))
            with task.timings.measure_wait():
                folder = await stack.enter_async_context(self._policy.scratch.folder(size, task.ticket))
            return await self._render_in(folder, task, batch)

    async def _render_in(
        self, folder: Path, task: GenerationTask, batch: _Batch
    ) -> tuple[tuple[Derivative, ...], ImagesError | None]:
        path = folder / "original"
        fetched = await self._fetch(path, task, batch)
        question = Render(
            path=str(path),
            folder=str(folder),
            sizes=self._recipe.sizes,
            wanted=batch.due,
            limits=self._policy.limits,
        )
        rendering = await self._render_pool.render(question, task.ticket, task.timings)
        metrics.render_seconds.labels(rendering.derived.info.format).observe(rendering.render_seconds)
        reached("original-rendered")
        with task.timings.measure_store():
            newer_etag = await self._newer_etag(task, batch, fetched)
            # All uploads finish before the folder is removed; the first failure is returned only then.
            puts = [
                self._put(one, task, batch, fetched=fetched, newer_etag=newer_etag)
                for one in rendering.derived.derivatives
            ]
            kept = await asyncio.gather(*puts, return_exceptions=True)
            made = tuple(one for one in kept if isinstance(one, Derivative))
            if made and self.provenance.is_in_doubt:
                await self._learn_from(made[0], task)
        return made, next(faults(kept), None)

    async def _fetch(self, path: Path, task: GenerationTask, batch: _Batch) -> Blob:
        """Fetch the original to `path`, which also shows whether it exists if it was not looked up before.

        Raises:
            NotFound, TooManyBytes, StoreError: see `Store.fetch`.
        """
        most, original = self._policy.max_bytes, task.original
        fetch = self._store.fetch(task.key, path, max_bytes=most)
        size = min(original.bytes, most) if original else most
        try:
            with task.timings.measure_store():
                fetched = await self._policy.timeouts.transfer(fetch, size, unbounded=task.ticket.is_unbounded)
        except NotFound:
            if original is None:
                raise absence(task.key) from None
            raise
        finally:
            self._unseen.discard(batch)
        if original is None:
            batch.original = fetched
            self._policy.scratch.shrink(path.parent, fetched.bytes)
        return fetched

    async def _newer_etag(self, task: GenerationTask, batch: _Batch, fetched: Blob) -> str | None:
        """Return the ETag of the original if it was replaced since it was fetched and this task is the last, or None.

        This process may have been stopped since the fetch, while another one rendered the new original. Some origins
        return a different ETag to each request, so the last task uploads nevertheless.

        Raises:
            NotFound, OriginalChanged: the original was removed or replaced, so nothing may be uploaded.
        """
        now = await self._head(task.key, task)
        if now is None:
            raise NotFound("The original was removed while it was rendered; upload it again.")
        looked_up = batch.original.etag if batch.original else fetched.etag
        if now.etag in (looked_up, fetched.etag):
            self._fetches_differ = now.etag != fetched.etag
            return None
        if not task.is_last:
            raise OriginalChanged
        return now.etag

    async def _put(
        self, rendered: Rendered, task: GenerationTask, batch: _Batch, *, fetched: Blob, newer_etag: str | None
    ) -> Derivative:
        key = self._recipe.key(fetched.key, rendered.size)
        existing = await self._head(key, task) if newer_etag else None
        if existing and existing.attributes.metadata.get(ETAG) == newer_etag:
            return derivative_of(rendered.size, existing)  # another process rendered the newer original
        batch.put_keys.append(key)
        is_for_page = task.remake in ("missing", "unproven", "unseen")
        only_new = is_for_page and self._policy.conditional_writes and rendered.size in batch.absent
        upload = self._upload(rendered, key, original=fetched, only_new=only_new)
        try:
            return await self._policy.timeouts.transfer(upload, rendered.bytes, unbounded=task.ticket.is_unbounded)
        finally:
            self._cache.remembered.evict(key)  # after the upload, even one that failed: it may have reached the store

    async def _upload(self, rendered: Rendered, key: str, *, original: Blob, only_new: bool) -> Derivative:
        attributes = self._recipe.attributes(rendered, original=original)
        put = self._store.put_new if only_new else self._store.put
        blob = await put(key, Path(rendered.path), attributes)
        reached("derivative-put")
        if blob is None:  # another machine wrote it first, with the same bytes
            metrics.writes_lost_total.inc()
            blob = await self._store.head(key)
            if blob and not self.provenance.accepts(blob):  # it was not looked up before, and is not ours
                blob = await self._store.put(key, Path(rendered.path), attributes)
        else:
            metrics.upload_bytes_total.inc(blob.bytes)
        if blob is None:
            raise StoreUnavailable("A derivative was deleted right after it was written; try again.")
        return derivative_of(rendered.size, blob)

    async def _learn_from(self, made: Derivative, task: GenerationTask) -> None:
        with suppress(StoreError):  # the upload is confirmed; the next one in doubt is read back
            self.provenance.learn(await self._head(made.key, task), written=made.bytes)


def absence(original: str) -> NotFound:
    """Return the error for an original that does not exist."""
    return NotFound(f"The original {original!r} does not exist; upload it first.")


def faults(outcomes: Iterable[object]) -> Iterator[ImagesError]:
    """Yield every `ImagesError` among the outcomes; raise any other exception."""
    for outcome in outcomes:
        if isinstance(outcome, ImagesError):
            yield outcome
        elif isinstance(outcome, BaseException):
            raise outcome
