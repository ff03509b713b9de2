"""Locates derivatives: in the cache, else in the store, else by rendering all that are missing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, cast

import structlog

from pipeline.errors import Refused
from proxy.concurrency.admission import Priority, Ticket
from proxy.concurrency.awaited import AwaitedParts
from proxy.concurrency.keyed_lock import KeyedLocks
from proxy.concurrency.singleflight import SingleFlight
from proxy.concurrency.timings import Timings
from proxy.derivatives.generator import Generator, absence
from proxy.derivatives.provenance import is_picture
from proxy.derivatives.purge import delete_derivatives
from proxy.derivatives.recipe import version_of
from proxy.derivatives.results import GenerationResult, Location, LookupResult, RequestKey
from proxy.derivatives.uploads import GenerationTask, OriginalChanged, delete_uploads, faults, is_unsteady
from proxy.errors import BadKey, DeadlineExceeded, ImagesError, NotFound, StoreError, TakenDown
from proxy.keys.layouts import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from proxy.concurrency.keyed_lock import KeyedLock
    from proxy.derivatives.cache import DerivativeCache
    from proxy.derivatives.policy import GenerationPolicy
    from proxy.derivatives.purge import PurgedKeys
    from proxy.derivatives.recipe import Recipe
    from proxy.derivatives.results import Remake
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob, Store

T = TypeVar("T")

log = structlog.get_logger(__name__)

MAX_FOLLOWED_CHANGES: Final = 10
"""How many changes of an original one run follows: more in one run are no uploads of people."""


class DerivativeService:
    """The service that locates and generates derivatives, for page views, jobs and reprocessing."""

    def __init__(
        self,
        *,
        store: Store,
        render_pool: RenderPool,
        recipe: Recipe,
        cache: DerivativeCache,
        policy: GenerationPolicy,
    ) -> None:
        self.recipe = recipe
        self._store = store
        self._cache = cache
        self._policy = policy
        self._lookups: SingleFlight[LookupResult] = SingleFlight()
        self._flights: SingleFlight[GenerationResult] = SingleFlight()
        self._purges = 0
        self._awaited: AwaitedParts[GenerationResult] = AwaitedParts()
        self._generator = Generator(
            store=store, render_pool=render_pool, recipe=recipe, cache=cache, policy=policy, awaited=self._awaited
        )
        self._locks = KeyedLocks()

    def known_version(self, key: str) -> str | None:
        """Return the version of a derivative that is cached as existing, empty if it is unknown, or None."""
        return self._cache.known.get(key)

    def accepts(self, blob: Blob) -> bool:
        """Return whether a blob is under the key of a derivative, and page views accept it as one."""
        return self.recipe.layout.original_of(blob.key) is not None and self._generator.provenance.accepts(blob)

    def clear_failures(self, original: str) -> None:
        """Evict the cached failure or absence of an original, so that the next page view tries it again.

        The original's derivatives are marked stale: the next page view looks them up in the store.
        """
        with suppress(BadKey):  # under today's layout, an old job's key may not be an original's
            self._cache.mark_stale(original, *self.recipe.keys_of(original))

    def record_found(self, key: str) -> None:
        """Cache a derivative as existing that a caller has read from the store."""
        self._cache.known.put(key, "")

    async def locate(
        self, original: str, size: str, timings: Timings | None = None, *, is_missing: bool = False
    ) -> Location:
        """Return where a size of an original is; if it does not exist, generate all missing sizes, this one first.

        It returns as soon as the store has confirmed this size; the others follow in the same run. Concurrent calls for
        the same size share one lookup. With `is_missing`, the caller has just found it missing. Durations are added to
        `timings`, on failure too.

        Raises:
            BadKey, UnknownSize, NotFound, TooManyBytes, Busy, RenderFailed, StoreError: see `proxy.errors`.
            Refused: the original cannot be rendered, see `pipeline.errors`.
        """
        if size == ORIGINAL:
            self.recipe.check(original, [])
            key = original
        elif (version := self.known_version(key := self.recipe.key(original, size))) is not None:
            return Location(key=key, source="cache", version=version)
        # A call after a purge does not share a lookup that began before it.
        lookup = await self._lookups.run(
            (self._purges, key), lambda: self._look_up_or_generate(key, original, size, is_missing=is_missing)
        )
        if timings:
            timings.add(lookup.timings)
        if lookup.fault:
            raise lookup.fault
        return cast("Location", lookup.location)

    async def locate_missing(self, original: str, size: str, timings: Timings | None = None) -> Location:
        """Locate a size that the caller has just found missing; raises what `locate` raises."""
        if size != ORIGINAL:
            self._cache.known.evict(self.recipe.key(original, size))
        return await self.locate(original, size, timings, is_missing=size != ORIGINAL)

    async def generate(
        self,
        original: str,
        sizes: Sequence[str] = (),
        *,
        remake: Remake = "stale",
        priority: Priority = Priority.JOB,
        clears_failures: bool = True,
    ) -> GenerationResult:
        """Generate derivatives of an original: those of `sizes`, or all.

        Equal concurrent calls share one run; other calls for the same original run one after another. Each call raises
        the priority of those ahead of it to its own. Page views wait as `PageTimeouts` defines per queue,
        other callers without a limit.

        A failure is returned in the result, beside the derivatives that exist all the same. `clears_failures` clears
        the cached failures of the original first; a retry keeps them, so that repeated failures add up.

        Raises:
            BadKey, UnknownSize: the original cannot have such derivatives.
        """
        wanted = tuple(sizes) or self.recipe.names_of(original)
        self.recipe.check(original, wanted)
        self._locks.for_key(original).raise_priority(priority)
        # Page views share runs only with page views, whose waits are bounded like their own.
        is_page = priority is Priority.PAGE
        request = RequestKey(
            original=original,
            sizes=wanted,
            remake=remake,
            is_page=is_page,
            clears_failures=clears_failures and not is_page,
        )
        return await self._flights.run(request, lambda: self._start(request, priority))

    async def purge(self, original: str) -> PurgedKeys:
        """Delete all derivatives of an original but not the original; return their keys.

        A run that generates derivatives of this original finishes first, so that it leaves none behind.

        Raises:
            BadKey, StoreError: see `proxy.errors`.
        """
        purged, outcomes = await self.exclusively(
            original, lambda: delete_derivatives(self._store, self.recipe, original)
        )
        if fault := next(faults(outcomes), None):
            raise fault
        return purged

    async def exclusively(self, original: str, remove: Callable[[], Awaitable[T]]) -> T:
        """Run `remove` while this process generates nothing of an original, then evict the original from the cache.

        Raises:
            BadKey: `original` cannot be the key of an original.
        """
        self.recipe.check(original, [])
        async with self._locks.for_key(original).hold(Ticket(Priority.JOB)):
            try:
                return await remove()
            finally:
                self._purges += 1
                self._cache.evict(original, *self.recipe.keys_of(original))

    async def close(self, *, grace_seconds: float = 0) -> None:
        """Wait for running generations for at most `grace_seconds`, then cancel all that runs.

        The components they use are closed next.
        """
        await self._flights.close(grace_seconds=grace_seconds)
        await self._lookups.close()
        await self._flights.close()

    async def _look_up_or_generate(self, key: str, original: str, size: str, *, is_missing: bool) -> LookupResult:
        timings = Timings()
        try:
            location = await self._find(key, original, timings, is_missing=is_missing)
            if location is None or location.source == "unproven":
                remake: Remake = "unproven" if location else "unseen"
                result = await self._generate_up_to(size, original, remake)
                timings.add(result.timings)
                if made := result.derivative(size):
                    location = Location(key=key, source="render", version=made.version)
                elif location is None:
                    return LookupResult(fault=result.fault, timings=timings)
                # Otherwise a picture that may not be ours is better than none: its original may not even exist.
        except (Refused, ImagesError) as fault:
            return LookupResult(fault=fault, timings=timings)
        return LookupResult(location=location, timings=timings)

    async def _generate_up_to(self, size: str, original: str, remake: Remake) -> GenerationResult:
        """Generate all sizes for a page view, and return as soon as the store has confirmed this one.

        Whichever run for the original makes it ends the wait, also one of a job; the runs go on. If this call joined a
        run that had already stored this size, it was found missing since, and one more run follows.
        """
        made, is_new = await self._wait_for(size, original, remake)
        return made if is_new else (await self._wait_for(size, original, remake))[0]

    async def _wait_for(self, size: str, original: str, remake: Remake) -> tuple[GenerationResult, bool]:
        """Return the result, and False if the run stored this size before the wait began."""
        with self._awaited.waiting(original, size) as ready:
            run = asyncio.create_task(self.generate(original, remake=remake, priority=Priority.PAGE))
            try:
                await asyncio.wait((run, ready), return_when=asyncio.FIRST_COMPLETED)
                if ready.done():
                    return ready.result(), True
                made = run.result()
                return made, not (made.was_generated and made.derivative(size))
            finally:
                run.cancel()  # only this wait for it

    async def _find(self, key: str, original: str, timings: Timings, *, is_missing: bool) -> Location | None:
        """Return where a derivative or an original is, or None if it has to be generated; raise its cached failure.

        A picture that may not be ours is "unproven" unless its original is known to fail.
        """
        purges = self._purges
        with timings.measure_store():
            if key == original:
                blob = await self._head(original, unbounded=False)
                return Location(key=key, source="store", version=version_of(blob))
            found = None if is_missing else await self._look_up(key)
            if found is None or found.source == "unproven":
                try:
                    await self._raise_known_failure(original, key)
                except (Refused, ImagesError):
                    if found is None:
                        raise
                    return replace(found, source="store")
                return found
        if purges == self._purges:  # otherwise it may have been purged since
            self._cache.known.put(key, found.version)
        return found

    async def _look_up(self, key: str) -> Location | None:
        """Look a derivative up in the store; if the store fails, fall back on a stale cache entry."""
        try:
            blob = await self._policy.timeouts.lookup(self._store.head(key))
        except StoreError:
            if stale := self._cache.stale_location(key):
                return stale
            raise
        if blob and self._generator.provenance.accepts(blob):
            return Location(key=key, source="store", version=version_of(blob))
        if blob and is_picture(blob):  # a cache in front of the store may still have what we have replaced
            return self._cache.stale_location(key) or Location(key=key, source="unproven", version=version_of(blob))
        self._cache.known.evict(key)
        return None

    async def _raise_known_failure(self, original: str, derivative: str) -> None:
        """Raise the cached failure of an original, or of one of its derivatives alone, if it still applies."""
        if detail := self._cache.absent.get(original):
            raise NotFound(detail)
        failure = self._cache.settled_failure(original, derivative)
        if failure and (await self._head(original, unbounded=False)).etag == failure.etag:
            raise failure.kind(failure.detail)

    async def _head(self, original: str, *, unbounded: bool) -> Blob:
        blob = await self._policy.timeouts.lookup(self._store.head(original), unbounded=unbounded)
        if blob is None:
            raise absence(original)
        self._cache.absent.evict(original)
        return blob

    def _start(self, request: RequestKey, priority: Priority) -> Coroutine[object, object, GenerationResult]:
        ticket = self._policy.timeouts.ticket(priority) if request.is_page else Ticket(priority)
        lock = self._locks.for_key(request.original)
        lock.register(ticket)
        return self._generate_exclusively(request, ticket, lock)

    async def _generate_exclusively(self, request: RequestKey, ticket: Ticket, lock: KeyedLock) -> GenerationResult:
        timings, seconds = Timings(), self._policy.timeouts.generation_seconds if request.is_page else None
        try:
            async with asyncio.timeout(seconds):
                return await self._generate_and_follow(request, ticket, lock, timings)
        except TimeoutError:
            fault = DeadlineExceeded(f"Generating the sizes took longer than {seconds:g} s; try again later.")
            return GenerationResult(fault=fault, timings=timings)

    async def _generate_and_follow(
        self, request: RequestKey, ticket: Ticket, lock: KeyedLock, timings: Timings
    ) -> GenerationResult:
        """Generate what is requested; whenever the original changes meanwhile, generate once more.

        The request for the new bytes may have joined this run. Some origins return a different ETag to each request, so
        only one such change is followed there.
        """
        for followed in range(MAX_FOLLOWED_CHANGES + 1):
            is_last = followed == MAX_FOLLOWED_CHANGES or (
                followed > 0 and await is_unsteady(partial(self._head, request.original, unbounded=ticket.is_unbounded))
            )
            made, changed = GenerationResult(timings=timings), request
            try:
                async with AsyncExitStack() as stack:
                    # Different requests for one original run one after another: the later finds what the earlier
                    # generated.
                    with timings.measure_wait():
                        await stack.enter_async_context(lock.hold(ticket))
                    made, is_changed = await self._generate(request, ticket, timings, is_last=is_last)
                if not is_changed:
                    return made
                changed = replace(request, remake="stale")
            except OriginalChanged:  # nothing was uploaded
                changed = replace(request, remake="all" if request.remake == "all" else "stale")
            except ImagesError as fault:
                return GenerationResult(fault=fault, timings=timings)
            request = changed
            if is_last:
                break
        log.warning("original_keeps_changing", key=request.original)
        return made

    async def _generate(
        self, request: RequestKey, ticket: Ticket, timings: Timings, *, is_last: bool
    ) -> tuple[GenerationResult, bool]:
        """Generate what is requested, and return whether the original changed meanwhile."""
        keys = [self.recipe.key(request.original, size) for size in request.sizes]
        is_unseen = request.remake == "unseen" and self._generator.may_fetch_unseen and not self._cache.knows(*keys)
        original = None if is_unseen else await self._look_at(request, ticket, timings)
        # A job may bring news of the original, so what page views cached is evicted. This happens only after the store
        # has answered: while it fails, page views need their cache.
        if request.clears_failures:
            self._cache.evict(request.original, *keys)
        made = await self._generator.make(
            GenerationTask(
                key=request.original,
                original=original,
                wanted=request.sizes,
                remake="unproven" if request.remake == "unseen" and not is_unseen else request.remake,
                is_last=is_last,
                ticket=ticket,
                timings=timings,
            )
        )
        if isinstance(made.fault, TakenDown) or (made.original is None and isinstance(made.fault, NotFound)):
            self._cache.absent.put(request.original, str(made.fault))
        if made.original is None or not (made.is_final or made.put_keys):
            return made, False
        try:
            with timings.measure_store():
                now = await self._policy.timeouts.lookup(
                    self._store.head(request.original), unbounded=ticket.is_unbounded
                )
                if now is None or await self._policy.is_taken_down(request.original):
                    return await self._withdraw(made, request.original, ticket)
        except ImagesError as fault:  # what was generated exists all the same
            return replace(made, fault=made.fault or fault), False
        return made, now.etag != made.original.etag

    async def _look_at(self, request: RequestKey, ticket: Ticket, timings: Timings) -> Blob:
        try:
            with timings.measure_store():
                return await self._head(request.original, unbounded=ticket.is_unbounded)
        except NotFound as missing:
            self._cache.absent.put(request.original, str(missing))
            raise

    async def _withdraw(self, made: GenerationResult, original: str, ticket: Ticket) -> tuple[GenerationResult, bool]:
        """Delete what was just uploaded, because its original is gone; return whether the original is there again.

        A purge in another process may have run before the uploads. If a new original was stored meanwhile, another
        process may have rendered it before the deletions, so it has to be rendered again.
        """
        timeouts, unbounded = self._policy.timeouts, ticket.is_unbounded
        deletions = [timeouts.lookup(self._store.delete(key), unbounded=unbounded) for key in made.put_keys]
        await delete_uploads(deletions, original)
        if made.put_keys:
            await self._policy.remove_late(original)
        self._purges += 1
        self._cache.evict(original, *made.put_keys)
        is_there = await timeouts.lookup(self._store.head(original), unbounded=unbounded) is not None
        is_back = is_there and not await self._policy.is_taken_down(original)
        return made.withdrawn(original, is_back=is_back), is_back
