"""Making derivatives of one original: its bytes fetched, rendered, and what came of them put into the store."""

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
    """What is to be made of one original, for whom."""

    original: Blob
    wanted: tuple[str, ...]
    remake: Remake
    ticket: Ticket
    timings: Timings


class Generator:
    """Makes derivatives, whoever asked for them; who may ask when is for `DerivativeService` to say."""

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
        """Make what is due of the sizes that are wanted; what goes wrong is told with what was made all the same.

        Raises:
            StoreError: nobody can tell what is there already.
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
        """Look which of the wanted derivatives are there and need not be made."""
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
        """Remember what no other try will change as long as the original's bytes stay; give it as it is told."""
        fault = self._cache.record_failure(original.key, fault, etag=original.etag)
        if isinstance(fault, Refused | TooManyBytes):
            metrics.refused_total.labels(fault.code).inc()
        return fault

    async def _generate(
        self, task: GenerationTask, due: tuple[str, ...]
    ) -> tuple[tuple[Derivative, ...], ImagesError | None]:
        """Make the sizes that are due; give them, and what kept some of them from the store.

        Raises:
            Busy: the line is full, or too long; a patient caller stands in it all the same.
            Refused, TooManyBytes, DeadlineExceeded, ProcessDied, StoreError: why nothing was made.
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
        # Every put is over before the folder goes: the first fault is told only then.
        with task.timings.measure_store():
            kept = await asyncio.gather(*puts, return_exceptions=True)
        return tuple(one for one in kept if isinstance(one, Derivative)), next(faults(kept), None)

    async def _upload(self, rendered: Rendered, *, original: Blob, only_new: bool) -> Derivative:
        key = self._recipe.key(original.key, rendered.size)
        attributes = self._recipe.attributes(rendered, original=original)
        put = self._store.put_new if only_new else self._store.put
        blob = await put(key, Path(rendered.path), attributes)
        if blob is None:  # another machine was first, with the same bytes
            metrics.writes_lost_total.inc()
            blob = await self._store.head(key)
        else:
            metrics.upload_bytes_total.inc(blob.bytes)
        if blob is None:
            raise StoreUnavailable("A derivative was deleted in the moment it was written; ask again.")
        return derivative_of(rendered.size, blob)


def faults(outcomes: Iterable[object]) -> Iterator[ImagesError]:
    """Give what is wrong in our own words; raise what is a fault of ours."""
    for outcome in outcomes:
        if isinstance(outcome, ImagesError):
            yield outcome
        elif isinstance(outcome, BaseException):
            raise outcome
