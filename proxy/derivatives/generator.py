"""Generates derivatives of one original: fetches it, renders it and uploads the results."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import Refused
from pipeline.protocol import Render
from proxy import metrics
from proxy.derivatives.recipe import Derivative, derivative_of
from proxy.derivatives.results import GenerationResult
from proxy.errors import ImagesError, StoreUnavailable, TooManyBytes

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
    """An original, the derivatives wanted of it, and the ticket and timings of the request."""

    original: Blob
    wanted: tuple[str, ...]
    remake: Remake
    ticket: Ticket
    timings: Timings


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

    async def make(self, task: GenerationTask) -> GenerationResult:
        """Generate the wanted derivatives that are due.

        A failure is returned in the result, beside the derivatives that exist all the same.

        Raises:
            StoreError: the store cannot be read, so it is unknown which derivatives are due.
        """
        there = {} if task.remake == "all" else await self._usable(task)
        due = tuple(name for name in task.wanted if name not in there)
        fault: Refused | ImagesError | None = None
        if due:
            try:
                made, fault = await self._generate(task, due)
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
            timings=task.timings,
        )

    async def _usable(self, task: GenerationTask) -> dict[str, Derivative]:
        """Return the wanted derivatives that exist and need not be generated, by size."""
        keys = [self._recipe.key(task.original.key, name) for name in task.wanted]
        lookup, libvips = self._policy.timeouts.lookup, self._render_pool.libvips
        with task.timings.measure_store():
            blobs = await asyncio.gather(
                *(lookup(self._store.head(key), unbounded=task.ticket.is_unbounded) for key in keys)
            )
        return {
            name: derivative_of(name, blob)
            for name, blob in zip(task.wanted, blobs, strict=True)
            if blob
            and (
                task.remake == "missing"
                or self._recipe.is_fresh(blob, original=task.original, size=name, libvips=libvips)
            )
        }

    def _cache_failure(self, original: Blob, fault: Refused | ImagesError) -> Refused | ImagesError:
        """Cache a failure that would recur with the same bytes, count refusals, and return the error to report."""
        fault = self._cache.record_failure(original.key, fault, etag=original.etag)
        if isinstance(fault, Refused | TooManyBytes):
            metrics.refused_total.labels(fault.code).inc()
        return fault

    async def _generate(
        self, task: GenerationTask, due: tuple[str, ...]
    ) -> tuple[tuple[Derivative, ...], ImagesError | None]:
        """Generate the due sizes; return them, and the error that kept others out of the store.

        Raises:
            Busy: the queue is full, or too long for a caller with a maximum wait.
            Refused, TooManyBytes, DeadlineExceeded, ProcessDied, StoreError: nothing was generated.
        """
        size = min(task.original.bytes, self._policy.max_bytes)
        async with AsyncExitStack() as stack:
            stack.enter_context(self._render_pool.admit(task.ticket))
            with task.timings.measure_wait():
                folder = await stack.enter_async_context(self._policy.scratch.folder(size, task.ticket))
            return await self._render_in(folder, task, due)

    async def _render_in(
        self, folder: Path, task: GenerationTask, due: tuple[str, ...]
    ) -> tuple[tuple[Derivative, ...], ImagesError | None]:
        original, path, is_unbounded = task.original, folder / "original", task.ticket.is_unbounded
        fetch = self._store.fetch(original.key, path, max_bytes=self._policy.max_bytes)
        with task.timings.measure_store():
            fetched = await self._policy.timeouts.transfer(fetch, original.bytes, unbounded=is_unbounded)
        question = Render(
            path=str(path),
            folder=str(folder),
            sizes=self._recipe.sizes,
            wanted=due,
            limits=self._policy.limits,
        )
        rendering = await self._render_pool.render(question, task.ticket, task.timings)
        metrics.render_seconds.labels(rendering.derived.info.format).observe(rendering.render_seconds)
        only_new = task.remake == "missing" and self._policy.conditional_writes
        puts = [
            self._policy.timeouts.transfer(
                self._upload(one, original=fetched, only_new=only_new), one.bytes, unbounded=is_unbounded
            )
            for one in rendering.derived.derivatives
        ]
        # All uploads finish before the folder is removed; the first failure is returned only then.
        with task.timings.measure_store():
            kept = await asyncio.gather(*puts, return_exceptions=True)
        return tuple(one for one in kept if isinstance(one, Derivative)), next(faults(kept), None)

    async def _upload(self, rendered: Rendered, *, original: Blob, only_new: bool) -> Derivative:
        key = self._recipe.key(original.key, rendered.size)
        attributes = self._recipe.attributes(rendered, original=original)
        put = self._store.put_new if only_new else self._store.put
        blob = await put(key, Path(rendered.path), attributes)
        if blob is None:  # another machine wrote it first, with the same bytes
            metrics.writes_lost_total.inc()
            blob = await self._store.head(key)
        else:
            metrics.upload_bytes_total.inc(blob.bytes)
        if blob is None:
            raise StoreUnavailable("A derivative was deleted right after it was written; try again.")
        return derivative_of(rendered.size, blob)


def faults(outcomes: Iterable[object]) -> Iterator[ImagesError]:
    """Yield every `ImagesError` among the outcomes; raise any other exception."""
    for outcome in outcomes:
        if isinstance(outcome, ImagesError):
            yield outcome
        elif isinstance(outcome, BaseException):
            raise outcome
