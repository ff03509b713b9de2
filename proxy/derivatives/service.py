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
    forgives: bool


class DerivativeService:
    """Finds derivatives and makes what is missing; page views, jobs and reprocessing all come through here."""

    def __init__(
        self, *, store: Store, renderers: RenderPool, recipe: Recipe, memory: DerivativeCache, terms: GenerationPolicy
    ) -> None:
        self.recipe = recipe
        self._store = store
        self._memory = memory
        self._terms = terms
        self._sights: SingleFlight[LookupResult] = SingleFlight()
        self._flights: SingleFlight[GenerationResult] = SingleFlight()
        self._purges = 0
        self._maker = Generator(store=store, renderers=renderers, recipe=recipe, memory=memory, terms=terms)
        self._berths = KeyedLocks()

    def is_known(self, key: str) -> bool:
        """Tell whether a derivative was there a moment ago."""
        return bool(self._memory.known.get(key))

    def forgive(self, original: str) -> None:
        """Forget what was wrong with an original; the next page view tries it again, and looks for its derivatives."""
        with suppress(BadKey):  # a job of old may be for what is no original's key any more
            self._memory.doubt(original, *(self.recipe.key(original, size) for size in self.recipe.names))

    async def locate(self, original: str, size: str, spent: Timings | None = None) -> Location:
        """Tell where a size of an original is; what is missing of it is made first, all sizes at once.

        Those who ask for the same one at the same time wait for one answer. Where the time goes is noted in `spent`,
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
        sought = await self._sights.run((self._purges, key), lambda: self._seek(key, original, size))
        if spent:
            spent.add(sought.spent)
        if sought.fault:
            raise sought.fault
        return cast("Location", sought.located)

    async def locate_anew(self, original: str, size: str, spent: Timings | None = None) -> Location:
        """Tell where a size of an original is that was not found where it was said to be; raises as `locate` does."""
        if size != ORIGINAL:
            self._memory.known.forget(self.recipe.key(original, size))
        return await self.locate(original, size, spent)

    async def make_all(
        self,
        original: str,
        sizes: Sequence[str] = (),
        *,
        remake: Remake = "stale",
        urgency: Priority = Priority.JOB,
        forgives: bool = True,
    ) -> GenerationResult:
        """Make the derivatives of an original, `sizes` of them or all; one flight per original at a time.

        A page view waits for so long, every other caller for as long as it takes. Whoever waits for an original makes
        its flights as urgent as itself. What goes wrong is told with what was made all the same. Who `forgives` begins
        anew with an original, whatever was wrong with it before; who only tries once more does not.

        Raises:
            BadKey, UnknownSize: there can be no such derivatives.
        """
        wanted = tuple(sizes) or self.recipe.names
        self.recipe.check(original, wanted)
        self._berths.at(original).hurry(urgency)
        # A page view joins page views only, whose waits are bounded as its own is.
        is_page = urgency is Priority.PAGE
        wish = RequestKey(
            original=original, sizes=wanted, remake=remake, is_page=is_page, forgives=forgives and not is_page
        )
        return await self._flights.run(wish, lambda: self._take_off(wish, urgency))

    async def purge(self, original: str) -> tuple[str, ...]:
        """Remove every derivative of an original, which itself stays; give the keys under which nothing is any more.

        What is being made of it is finished first, so that nothing of that is left over.

        Raises:
            BadKey, StoreError: see `proxy.errors`.
        """
        self.recipe.check(original, [])
        async with self._berths.at(original).alone(Ticket(Priority.JOB)):
            keys = await find_derivatives(self._store, self.recipe, original)
            # Each is tried, and over, before the next flight may begin.
            outcomes = await asyncio.gather(*map(self._store.delete, keys), return_exceptions=True)
            self._purges += 1
            self._memory.forget(original, *keys)
        if fault := next(faults(outcomes), None):
            raise fault
        return keys

    async def close(self) -> None:
        """End what is still underway; nobody waits for it any more, and what it needs is about to go."""
        await self._sights.close()
        await self._flights.close()

    async def _seek(self, key: str, original: str, size: str) -> LookupResult:
        spent = Timings()
        try:
            located = await self._found(key, original, spent)
            if located is None:
                made = await self.make_all(original, remake="missing", urgency=Priority.PAGE)
                spent.add(made.spent)
                if made.fault and size not in [one.size for one in made.derivatives]:
                    return LookupResult(fault=made.fault, spent=spent)
                located = Location(key=key, source="render")
        except (Refused, ImagesError) as fault:
            return LookupResult(fault=fault, spent=spent)
        return LookupResult(located=located, spent=spent)

    async def _found(self, key: str, original: str, spent: Timings) -> Location | None:
        """Tell where something is without making it, or what is known to be wrong with it; None if it is to be made."""
        purges = self._purges
        with spent.at_the_store():
            if key == original:
                await self._head(original, patient=False)
                return Location(key=key, source="store")
            source = await self._look(key)
            if source is None:
                await self._recall(original)
                return None
        if purges == self._purges:  # else it may be gone by now
            self._memory.known.put(key, value=True)
        return Location(key=key, source=source)

    async def _look(self, key: str) -> Source | None:
        """Look for a derivative; a store that is in trouble leaves us with what was true when it was well."""
        try:
            is_there = await self._terms.haste.look(self._store.head(key))
        except StoreError:
            if self._memory.known.get_stale(key):
                return "cache"
            raise
        if is_there:
            return "store"
        self._memory.known.forget(key)
        return None

    async def _recall(self, original: str) -> None:
        """Raise what is remembered to be wrong with an original, if that is still so."""
        if detail := self._memory.absent.get(original):
            raise NotFound(detail)
        failure = self._memory.failure(original)
        if failure and (await self._head(original, patient=False)).etag == failure.etag:
            raise failure.kind(failure.detail)

    async def _head(self, original: str, *, patient: bool) -> Blob:
        blob = await self._terms.haste.look(self._store.head(original), patient=patient)
        if blob is None:
            raise NotFound(f"There is no original {original!r} in the store; upload it first.")
        self._memory.absent.forget(original)
        return blob

    def _take_off(self, wish: RequestKey, urgency: Priority) -> Coroutine[object, object, GenerationResult]:
        turn = Ticket(urgency, line_seconds=self._terms.haste.line_seconds if wish.is_page else None)
        berth = self._berths.at(wish.original)
        berth.expect(turn)
        return self._fly(wish, turn, berth)

    async def _fly(self, wish: RequestKey, turn: Ticket, berth: KeyedLock) -> GenerationResult:
        spent = Timings()
        while True:
            try:
                async with AsyncExitStack() as stack:
                    # Flights that want different things of one original go one after another: the later finds what was
                    # made.
                    with spent.in_line():
                        await stack.enter_async_context(berth.alone(turn))
                    made, is_replaced = await self._make(wish, turn, spent)
            except ImagesError as fault:
                return GenerationResult(fault=fault, spent=spent)
            if not is_replaced:
                return made
            # Whoever replaced it may have been told that this flight makes its derivatives.
            wish = replace(wish, remake="stale")

    async def _make(self, wish: RequestKey, turn: Ticket, spent: Timings) -> tuple[GenerationResult, bool]:
        """Make what is wished for, and tell whether the original was replaced meanwhile."""
        try:
            with spent.at_the_store():
                blob = await self._head(wish.original, patient=turn.is_patient)
        except NotFound as absence:
            self._memory.absent.put(wish.original, str(absence))
            raise
        # A job may know more than page views do; but while the store fails, they need what they know.
        if wish.forgives:
            self._memory.forget(wish.original, *(self.recipe.key(wish.original, size) for size in wish.sizes))
        made = await self._maker.make(
            GenerationTask(original=blob, wanted=wish.sizes, remake=wish.remake, turn=turn, spent=spent)
        )
        if not made.is_lasting:
            return made, False
        try:
            with spent.at_the_store():
                return made, (await self._head(wish.original, patient=turn.is_patient)).etag != blob.etag
        except ImagesError as fault:  # removed, or nobody knows; what was made is there all the same
            return replace(made, fault=made.fault or fault), False
