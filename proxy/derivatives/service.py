"""The one use-case: where is this derivative? Known, else in the store, else rendered with all that are missing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from pipeline.errors import Refused
from proxy.concurrency.admission import Priority, Ticket
from proxy.concurrency.keyed_lock import KeyedLocks
from proxy.concurrency.singleflight import SingleFlight
from proxy.concurrency.timings import Timings
from proxy.derivatives.generator import GenerationTask, Generator, faults
from proxy.derivatives.purge import find_derivatives
from proxy.derivatives.results import GenerationResult, Location, LookupResult
from proxy.errors import BadKey, ImagesError, NotFound, StoreError
from proxy.keys.layouts import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from proxy.concurrency.keyed_lock import KeyedLock
    from proxy.derivatives.cache import DerivativeCache
    from proxy.derivatives.policy import GenerationPolicy
    from proxy.derivatives.recipe import Recipe
    from proxy.derivatives.results import Remake, Source
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Blob, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """What somebody wants made of an original; those who want the same share a flight."""

    original: str
    sizes: tuple[str, ...]
    remake: Remake
    is_page: bool
    clears_failures: bool


class DerivativeService:
    """Finds derivatives and makes what is missing; page views, jobs and reprocessing all come through here."""

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
        self._generator = Generator(store=store, render_pool=render_pool, recipe=recipe, cache=cache, policy=policy)
        self._locks = KeyedLocks()

    def is_known(self, key: str) -> bool:
        """Tell whether a derivative was there a moment ago."""
        return bool(self._cache.known.get(key))

    def clear_failures(self, original: str) -> None:
        """Forget what was wrong with an original; the next page view tries it again, and looks for its derivatives."""
        with suppress(BadKey):  # a job of old may be for what is no original's key any more
            self._cache.mark_stale(original, *(self.recipe.key(original, size) for size in self.recipe.names))

    async def locate(self, original: str, size: str, timings: Timings | None = None) -> Location:
        """Tell where a size of an original is; what is missing of it is made first, all sizes at once.

        Those who ask for the same one at the same time wait for one answer. Where the time goes is noted in `timings`,
        whatever comes of it.

        Raises:
            BadKey, UnknownSize, NotFound, TooManyBytes, Busy, RenderFailed, StoreError: see `proxy.errors`.
            Refused: what is wrong with the original, see `pipeline.errors`.
        """
        if size == ORIGINAL:
            self.recipe.check(original, [])
            key = original
        elif self.is_known(key := self.recipe.key(original, size)):
            return Location(key=key, source="cache")
        # Who asks after a purge has no part in what was seen before it.
        lookup = await self._lookups.run((self._purges, key), lambda: self._look_up_or_generate(key, original, size))
        if timings:
            timings.add(lookup.timings)
        if lookup.fault:
            raise lookup.fault
        return cast("Location", lookup.location)

    async def locate_anew(self, original: str, size: str, timings: Timings | None = None) -> Location:
        """Tell where a size of an original is that was not found where it was said to be; raises as `locate` does."""
        if size != ORIGINAL:
            self._cache.known.evict(self.recipe.key(original, size))
        return await self.locate(original, size, timings)

    async def generate(
        self,
        original: str,
        sizes: Sequence[str] = (),
        *,
        remake: Remake = "stale",
        priority: Priority = Priority.JOB,
        clears_failures: bool = True,
    ) -> GenerationResult:
        """Make the derivatives of an original, `sizes` of them or all; one flight per original at a time.

        A page view waits for so long, every other caller for as long as it takes. Whoever waits for an original makes
        its flights as urgent as itself. What goes wrong is told with what was made all the same. With `clears_failures`
        a caller begins anew with an original, whatever was wrong with it before; a retry does not.

        Raises:
            BadKey, UnknownSize: there can be no such derivatives.
        """
        wanted = tuple(sizes) or self.recipe.names
        self.recipe.check(original, wanted)
        self._locks.for_key(original).raise_priority(priority)
        # A page view joins page views only, whose waits are bounded as its own is.
        is_page = priority is Priority.PAGE
        request = RequestKey(
            original=original,
            sizes=wanted,
            remake=remake,
            is_page=is_page,
            clears_failures=clears_failures and not is_page,
        )
        return await self._flights.run(request, lambda: self._start(request, priority))

    async def purge(self, original: str) -> tuple[str, ...]:
        """Remove every derivative of an original, which itself stays; give the keys under which nothing is any more.

        What is being made of it is finished first, so that nothing of that is left over.

        Raises:
            BadKey, StoreError: see `proxy.errors`.
        """
        self.recipe.check(original, [])
        async with self._locks.for_key(original).hold(Ticket(Priority.JOB)):
            keys = await find_derivatives(self._store, self.recipe, original)
            # Each is tried, and over, before the next flight may begin.
            outcomes = await asyncio.gather(*map(self._store.delete, keys), return_exceptions=True)
            self._purges += 1
            self._cache.evict(original, *keys)
        if fault := next(faults(outcomes), None):
            raise fault
        return keys

    async def close(self) -> None:
        """End what is still underway; nobody waits for it any more, and what it needs is about to go."""
        await self._lookups.close()
        await self._flights.close()

    async def _look_up_or_generate(self, key: str, original: str, size: str) -> LookupResult:
        timings = Timings()
        try:
            location = await self._find(key, original, timings)
            if location is None:
                made = await self.generate(original, remake="missing", priority=Priority.PAGE)
                timings.add(made.timings)
                if made.fault and size not in [one.size for one in made.derivatives]:
                    return LookupResult(fault=made.fault, timings=timings)
                location = Location(key=key, source="render")
        except (Refused, ImagesError) as fault:
            return LookupResult(fault=fault, timings=timings)
        return LookupResult(location=location, timings=timings)

    async def _find(self, key: str, original: str, timings: Timings) -> Location | None:
        """Tell where something is without making it, or what is known to be wrong with it; None if it is to be made."""
        purges = self._purges
        with timings.measure_store():
            if key == original:
                await self._head(original, unbounded=False)
                return Location(key=key, source="store")
            source = await self._look_up(key)
            if source is None:
                await self._raise_known_failure(original)
                return None
        if purges == self._purges:  # else it may be gone by now
            self._cache.known.put(key, value=True)
        return Location(key=key, source=source)

    async def _look_up(self, key: str) -> Source | None:
        """Look for a derivative; a store that is in trouble leaves us with what was true when it was well."""
        try:
            is_there = await self._policy.timeouts.lookup(self._store.head(key))
        except StoreError:
            if self._cache.known.get_stale(key):
                return "cache"
            raise
        if is_there:
            return "store"
        self._cache.known.evict(key)
        return None

    async def _raise_known_failure(self, original: str) -> None:
        """Raise what is remembered to be wrong with an original, if that is still so."""
        if detail := self._cache.absent.get(original):
            raise NotFound(detail)
        failure = self._cache.settled_failure(original)
        if failure and (await self._head(original, unbounded=False)).etag == failure.etag:
            raise failure.kind(failure.detail)

    async def _head(self, original: str, *, unbounded: bool) -> Blob:
        blob = await self._policy.timeouts.lookup(self._store.head(original), unbounded=unbounded)
        if blob is None:
            raise NotFound(f"There is no original {original!r} in the store; upload it first.")
        self._cache.absent.evict(original)
        return blob

    def _start(self, request: RequestKey, priority: Priority) -> Coroutine[object, object, GenerationResult]:
        ticket = Ticket(priority, max_wait_seconds=self._policy.timeouts.max_wait_seconds if request.is_page else None)
        lock = self._locks.for_key(request.original)
        lock.register(ticket)
        return self._generate_exclusively(request, ticket, lock)

    async def _generate_exclusively(self, request: RequestKey, ticket: Ticket, lock: KeyedLock) -> GenerationResult:
        timings = Timings()
        while True:
            try:
                async with AsyncExitStack() as stack:
                    # Flights that want different things of one original go one after another: the later finds what was
                    # made.
                    with timings.measure_wait():
                        await stack.enter_async_context(lock.hold(ticket))
                    made, is_replaced = await self._generate(request, ticket, timings)
            except ImagesError as fault:
                return GenerationResult(fault=fault, timings=timings)
            if not is_replaced:
                return made
            # Whoever replaced it may have been told that this flight makes its derivatives.
            request = replace(request, remake="stale")

    async def _generate(self, request: RequestKey, ticket: Ticket, timings: Timings) -> tuple[GenerationResult, bool]:
        """Make what is wished for, and tell whether the original was replaced meanwhile."""
        try:
            with timings.measure_store():
                blob = await self._head(request.original, unbounded=ticket.is_unbounded)
        except NotFound as absence:
            self._cache.absent.put(request.original, str(absence))
            raise
        # A job may know more than page views do; but while the store fails, they need what they know.
        if request.clears_failures:
            self._cache.evict(request.original, *(self.recipe.key(request.original, size) for size in request.sizes))
        made = await self._generator.make(
            GenerationTask(original=blob, wanted=request.sizes, remake=request.remake, ticket=ticket, timings=timings)
        )
        if not made.is_final:
            return made, False
        try:
            with timings.measure_store():
                return made, (await self._head(request.original, unbounded=ticket.is_unbounded)).etag != blob.etag
        except ImagesError as fault:  # removed, or nobody knows; what was made is there all the same
            return replace(made, fault=made.fault or fault), False
