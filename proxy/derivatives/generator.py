"""Generates derivatives of one original: fetches it, renders it and uploads the results."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import Refused
from pipeline.protocol import Render
from pipeline.size import rendered_together
from proxy import metrics
from proxy.concurrency.timings import Timings
from proxy.derivatives.provenance import Provenance, is_picture
from proxy.derivatives.recipe import derivative_of
from proxy.derivatives.results import GenerationResult
from proxy.derivatives.uploads import Batch, OriginalChanged, Uploads
from proxy.errors import Busy, ImagesError, NotFound, RenderFailed, StoreUnavailable, TooManyBytes
from proxy.system.failpoints import reached

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.protocol import Rendered
    from proxy.concurrency.awaited import AwaitedParts
    from proxy.derivatives.cache import DerivativeCache
    from proxy.derivatives.policy import GenerationPolicy
    from proxy.derivatives.recipe import Derivative, Recipe
    from proxy.derivatives.uploads import GenerationTask
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob, Store

UNSEEN_AT_ONCE: Final = 8
"""How many originals are fetched at once without a lookup before: a flood of keys that do not exist fills no queue."""


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
        awaited: AwaitedParts[GenerationResult],
    ) -> None:
        self._store = store
        self._render_pool = render_pool
        self._recipe = recipe
        self._cache = cache
        self._policy = policy
        self._awaited = awaited
        self.provenance = Provenance()
        self._unseen: set[Batch] = set()
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
            OriginalChanged: the original was replaced while it was rendered, the task is not the last one, and nothing
                was uploaded.
        """
        blobs: dict[str, Blob | None] = {} if task.remake in ("unseen", "all") else await self._look_up(task)
        there = {
            name: derivative_of(name, blob)
            for name, blob in blobs.items()
            if blob and self._is_usable(blob, name, task)
        }
        due = tuple(name for name in task.wanted if name not in there)
        absent = frozenset(name for name in due if blobs.get(name) is None)
        batch = Batch(task=task, original=task.original, due=due, absent=absent)
        fault: Refused | ImagesError | None = None
        if due:
            if task.original is None:
                self._unseen.add(batch)
            try:
                fault = await self._generate(task, batch)
                self._cache.failures.evict(task.key)
            except (Refused, ImagesError) as error:
                fault = await self._failure(task, batch, error, key=task.key)
            except OriginalChanged:
                if not batch.put_keys:
                    raise
                fault = StoreUnavailable("The original was replaced while it was rendered; try again.")
            finally:
                self._unseen.discard(batch)
            there |= {one.size: one for one in batch.made}
        for one in there.values():
            self._cache.known.put(one.key, one.version)
            self._cache.failures.evict(one.key)
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
        self, task: GenerationTask, batch: Batch, fault: Refused | ImagesError, *, key: str
    ) -> Refused | ImagesError:
        """Cache a failure that would recur with the same bytes, count refusals, and return the error to report.

        `key` is that of the original, or that of the only derivative that failed.
        """
        if batch.original is None and isinstance(fault, Busy | TooManyBytes):
            batch.original = await self._head(task.key, task)
            if batch.original is None:  # a full queue is no reason to retry what does not exist
                return absence(task.key)
        if batch.original is None:
            return fault
        fault = self._cache.record_failure(key, fault, etag=batch.original.etag)
        if isinstance(fault, Refused | TooManyBytes):
            metrics.refused_total.labels(fault.code).inc()
        return fault

    async def _generate(self, task: GenerationTask, batch: Batch) -> Refused | ImagesError | None:
        """Generate the due sizes; return the error that kept some of them out of the store, or from being rendered.

        `batch` gets those that the store has confirmed, also if an error is raised.

        Raises:
            Busy: the queue is full, or too long for a caller with a maximum wait.
            Refused, TooManyBytes, DeadlineExceeded, ProcessDied, StoreError: not all sizes were generated.
            NotFound, OriginalChanged: the original was removed or replaced; nothing was uploaded since.
        """
        size = min(task.original.bytes, self._policy.max_bytes) if task.original else self._policy.max_bytes
        async with AsyncExitStack() as stack:
            stack.enter_context(self._render_pool.admit(task.ticket))
            with task.timings.measure_wait():
                folder = await stack.enter_async_context(self._policy.scratch.folder(size, task.ticket))
            return await self._render_in(folder, task, batch)

    async def _render_in(self, folder: Path, task: GenerationTask, batch: Batch) -> Refused | ImagesError | None:
        """Render and upload; once a page view waits for the original, each size as soon as it is rendered."""
        path = folder / "original"
        fetched = await self._fetch(path, task, batch)
        question = Render(
            path=str(path),
            folder=str(folder),
            sizes=self._recipe.sizes_of(task.key),
            wanted=batch.due,
            first=self._awaited.first(task.key, among=batch.due),
            limits=self._policy.limits,
        )
        own, began = Timings(), time.perf_counter()
        uploads = Uploads(
            batch,
            fetched,
            store=self._store,
            recipe=self._recipe,
            policy=self._policy,
            provenance=self.provenance,
            cache=self._cache,
            on_stored=lambda made, seconds: self._announce(made, task, _so_far(task.timings, own, began, seconds)),
        )

        def on_made(rendered: Rendered) -> None:
            own.ready_seconds[rendered.size] = time.perf_counter() - began - own.wait_seconds
            if question.first or self._awaited.first(task.key, among=batch.due):
                uploads.begin(rendered)

        try:
            async with uploads.running():  # all uploads finish before the folder is removed
                made, refusal = await self._render(question, task, batch, own, on_made)
                reached("original-rendered", task.key)
                with task.timings.measure_store():
                    fault = await uploads.finish(made)
        finally:
            task.timings.add(own)
        self._fetches_differ = uploads.fetches_differ
        return fault or refusal

    async def _render(
        self,
        question: Render,
        task: GenerationTask,
        batch: Batch,
        timings: Timings,
        on_made: Callable[[Rendered], None],
    ) -> tuple[list[Rendered], Refused | ImagesError | None]:
        """Render the wanted sizes, and return them; the failure of a size with `strip_only` is returned beside others.

        Raises:
            Busy, Refused, RenderFailed: see `RenderPool.render`.
        """
        failure, format_name = None, ""
        made: list[Rendered] = []
        for names in rendered_together(question.sizes, question.wanted, first=question.first):
            first = question.first if question.first in names else ""
            part = msgspec.structs.replace(question, wanted=names, first=first)
            try:
                rendering = await self._render_pool.render(part, task.ticket, timings, on_made=on_made)
            except (Refused, RenderFailed) as fault:
                if not self._recipe.size(names[0]).strip_only:
                    raise
                failure = await self._failure(task, batch, fault, key=self._recipe.key(task.key, names[0]))
            else:
                made += rendering.derived.derivatives
                format_name = rendering.derived.info.format
        if made:
            metrics.render_seconds.labels(format_name).observe(timings.render_seconds)
        return made, failure

    def _announce(self, made: Derivative, task: GenerationTask, timings: Timings) -> None:
        """Cache a derivative that the store has confirmed, and end the wait of page views for it."""
        self._cache.known.put(made.key, made.version)
        result = GenerationResult(derivatives=(made,), was_generated=True, timings=timings)
        self._awaited.resolve(task.key, made.size, result)

    async def _fetch(self, path: Path, task: GenerationTask, batch: Batch) -> Blob:
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


def absence(original: str) -> NotFound:
    """Return the error for an original that does not exist."""
    return NotFound(f"The original {original!r} does not exist; upload it first.")


def _so_far(timings: Timings, rendering: Timings, began: float, store_seconds: float) -> Timings:
    """Return the timings of a size that is stored while others may still be rendered.

    Its render began at `began`, by `time.perf_counter`, and `rendering` has what it has waited.
    """
    total = replace(timings)
    total.add(
        Timings(
            store_seconds=store_seconds,
            wait_seconds=rendering.wait_seconds,
            render_seconds=time.perf_counter() - began - rendering.wait_seconds - store_seconds,
        )
    )
    return total
