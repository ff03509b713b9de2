"""Generates derivatives of one original: fetches it, renders it and uploads the results."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import Refused
from pipeline.protocol import Render
from proxy import metrics
from proxy.derivatives.provenance import Provenance, is_picture
from proxy.derivatives.recipe import ETAG, Derivative, derivative_of
from proxy.derivatives.results import GenerationResult
from proxy.errors import ImagesError, NotFound, StoreError, StoreUnavailable, TooManyBytes
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationTask:
    """An original, the derivatives wanted of it, and the ticket and timings of the request.

    `is_last` means that a change of the original is not followed by another task.
    """

    original: Blob
    wanted: tuple[str, ...]
    remake: Remake
    is_last: bool
    ticket: Ticket
    timings: Timings


class OriginalChanged(Exception):
    """The original was replaced before anything was uploaded; raised only within this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What one render is for: the due sizes, those of them that did not exist, and the keys uploaded to so far."""

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

    async def make(self, task: GenerationTask) -> GenerationResult:
        """Generate the wanted derivatives that are due.

        A failure is returned in the result, beside the derivatives that exist all the same.

        Raises:
            StoreError: the store cannot be read, so it is unknown which derivatives are due.
            OriginalChanged: the original was replaced while it was rendered, and the task is not the last one.
        """
        blobs: dict[str, Blob | None] = {} if task.remake == "all" else await self._look_up(task)
        there = {
            name: derivative_of(name, blob)
            for name, blob in blobs.items()
            if blob and self._is_usable(blob, name, task)
        }
        due = tuple(name for name in task.wanted if name not in there)
        batch = _Batch(due=due, absent=frozenset(name for name, blob in blobs.items() if blob is None))
        fault: Refused | ImagesError | None = None
        if due:
            try:
                made, fault = await self._generate(task, batch)
            except (Refused, ImagesError) as error:
                made, fault = (), self._cache_failure(task.original, error)
            else:
                self._cache.failures.evict(task.original.key)
            there |= {one.size: one for one in made}
        for one in there.values():
            self._cache.known.put(one.key, value=True)
        return GenerationResult(
            derivatives=tuple(there[name] for name in task.wanted if name in there),
            fault=fault,
            was_generated=bool(due),
            put_keys=tuple(batch.put_keys),
            timings=task.timings,
        )

    async def _look_up(self, task: GenerationTask) -> dict[str, Blob | None]:
        """Return the blobs under the keys of the wanted derivatives, by size."""
        with task.timings.measure_store():
            heads = (self._head(self._recipe.key(task.original.key, name), task) for name in task.wanted)
            return dict(zip(task.wanted, await asyncio.gather(*heads), strict=True))

    def _is_usable(self, blob: Blob, size: str, task: GenerationTask) -> bool:
        """Return whether a derivative need not be generated."""
        if task.remake == "unproven":
            return self.provenance.accepts(blob)
        libvips = self._render_pool.libvips
        return is_picture(blob) and (
            task.remake == "missing" or self._recipe.is_fresh(blob, original=task.original, size=size, libvips=libvips)
        )

    async def _head(self, key: str, task: GenerationTask) -> Blob | None:
        return await self._policy.timeouts.lookup(self._store.head(key), unbounded=task.ticket.is_unbounded)

    def _cache_failure(self, original: Blob, fault: Refused | ImagesError) -> Refused | ImagesError:
        """Cache a failure that would recur with the same bytes, count refusals, and return the error to report."""
        fault = self._cache.record_failure(original.key, fault, etag=original.etag)
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
        size = min(task.original.bytes, self._policy.max_bytes)
        async with AsyncExitStack() as stack:
            stack.enter_context(self._render_pool.admit(task.ticket))
            with task.timings.measure_wait():
                folder = await stack.enter_async_context(self._policy.scratch.folder(size, task.ticket))
            return await self._render_in(folder, task, batch)

    async def _render_in(
        self, folder: Path, task: GenerationTask, batch: _Batch
    ) -> tuple[tuple[Derivative, ...], ImagesError | None]:
        original, path = task.original, folder / "original"
        fetch = self._store.fetch(original.key, path, max_bytes=self._policy.max_bytes)
        size = min(original.bytes, self._policy.max_bytes)
        with task.timings.measure_store():
            fetched = await self._policy.timeouts.transfer(fetch, size, unbounded=task.ticket.is_unbounded)
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
            newer_etag = await self._newer_etag(task, fetched)
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

    async def _newer_etag(self, task: GenerationTask, fetched: Blob) -> str | None:
        """Return the ETag of the original if it was replaced since it was fetched and this task is the last, or None.

        This process may have been stopped since the fetch, while another one rendered the new original. Some origins
        return a different ETag to each request, so the last task uploads nevertheless.

        Raises:
            NotFound, OriginalChanged: the original was removed or replaced, so nothing may be uploaded.
        """
        now = await self._head(task.original.key, task)
        if now is None:
            raise NotFound("The original was removed while it was rendered; upload it again.")
        if now.etag in (task.original.etag, fetched.etag):
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
        is_for_page = task.remake in ("missing", "unproven")
        only_new = is_for_page and self._policy.conditional_writes and rendered.size in batch.absent
        upload = self._upload(rendered, key, original=fetched, only_new=only_new)
        return await self._policy.timeouts.transfer(upload, rendered.bytes, unbounded=task.ticket.is_unbounded)

    async def _upload(self, rendered: Rendered, key: str, *, original: Blob, only_new: bool) -> Derivative:
        attributes = self._recipe.attributes(rendered, original=original)
        put = self._store.put_new if only_new else self._store.put
        blob = await put(key, Path(rendered.path), attributes)
        reached("derivative-put")
        if blob is None:  # another machine wrote it first, with the same bytes
            metrics.writes_lost_total.inc()
            blob = await self._store.head(key)
        else:
            metrics.upload_bytes_total.inc(blob.bytes)
        if blob is None:
            raise StoreUnavailable("A derivative was deleted right after it was written; try again.")
        return derivative_of(rendered.size, blob)

    async def _learn_from(self, made: Derivative, task: GenerationTask) -> None:
        with suppress(StoreError):  # the upload is confirmed; the next one in doubt is read back
            self.provenance.learn(await self._head(made.key, task), written=made.bytes)


def faults(outcomes: Iterable[object]) -> Iterator[ImagesError]:
    """Yield every `ImagesError` among the outcomes; raise any other exception."""
    for outcome in outcomes:
        if isinstance(outcome, ImagesError):
            yield outcome
        elif isinstance(outcome, BaseException):
            raise outcome
