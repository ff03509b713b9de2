"""The one use-case: where is this derivative? Known, else in the store, else rendered with all that are missing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import Refused
from proxy import metrics
from proxy.berths import Berths
from proxy.errors import ImagesError, NotFound, StoreError, TooManyBytes
from proxy.keys import ORIGINAL
from proxy.limiter import Turn, Urgency
from proxy.made import Located, Made, Spent
from proxy.maker import Maker, faults
from proxy.purge import find_derivatives
from proxy.recipe import derivative
from proxy.singleflight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from proxy.berths import Berth
    from proxy.made import Remake, Source
    from proxy.memory import Memory
    from proxy.recipe import Derivative, Recipe
    from proxy.renderers import Renderers
    from proxy.stores.base import Blob, Store
    from proxy.terms import Terms


class Derivatives:
    """Finds derivatives and makes what is missing; page views, jobs and reprocessing all come through here."""

    def __init__(self, *, store: Store, renderers: Renderers, recipe: Recipe, memory: Memory, terms: Terms) -> None:
        self.recipe = recipe
        self._store = store
        self._renderers = renderers
        self._memory = memory
        self._terms = terms
        self._flights: SingleFlight[Made] = SingleFlight()
        self._purges = 0
        self._maker = Maker(store=store, renderers=renderers, recipe=recipe, terms=terms)
        self._berths = Berths()

    def is_known(self, key: str) -> bool:
        """Tell whether a derivative was there a moment ago."""
        return bool(self._memory.known.get(key))

    async def locate(self, original: str, size: str, spent: Spent | None = None) -> Located:
        """Tell where a size of an original is; what is missing of it is made first, all sizes at once.

        Where the time goes is noted in `spent`, whatever comes of it.

        Raises:
            BadKey, UnknownSize, NotFound, TooManyBytes, Busy, RenderFailed, StoreError: see `proxy.errors`.
            Refused: what is wrong with the original, see `pipeline.errors`.
        """
        spent = spent or Spent()
        if size == ORIGINAL:
            return await self._locate_original(original, spent)
        key = self.recipe.key(original, size)
        if self.is_known(key):
            return Located(key=key, source="cache")
        purges = self._purges
        with spent.at_the_store():
            source = await self._look(key)
            if source is None:
                await self._recall(original)
        if source is None:
            return await self._make_missing(original, size, spent)
        if purges == self._purges:  # else it may be gone by now
            self._memory.known.put(key, value=True)
        return Located(key=key, source=source)

    async def locate_anew(self, original: str, size: str, spent: Spent | None = None) -> Located:
        """Tell where a size of an original is that was not found where it was said to be; raises as `locate` does."""
        if size != ORIGINAL:
            self._memory.known.forget(self.recipe.key(original, size))
        return await self.locate(original, size, spent)

    async def make_all(
        self, original: str, sizes: Sequence[str] = (), *, remake: Remake = "stale", urgency: Urgency = Urgency.JOB
    ) -> Made:
        """Make the derivatives of an original, `sizes` of them or all; one flight per original at a time.

        A page view waits for so long, every other caller for as long as it takes. Whoever waits for an original makes
        its flights as urgent as itself. What goes wrong once the original was found is told with what was made all
        the same.

        Raises:
            BadKey, UnknownSize, NotFound, StoreError: the original cannot be found.
            Busy: another flight of it was not over in time.
        """
        wanted = tuple(sizes) or self.recipe.names
        self.recipe.check(original, wanted)
        self._berths.at(original).hurry(urgency)
        # A page view joins page views only, whose waits are bounded as its own is.
        flight = (original, wanted, remake, urgency is Urgency.PAGE)
        return await self._flights.run(flight, lambda: self._take_off(original, wanted, remake, urgency))

    async def purge(self, original: str) -> tuple[str, ...]:
        """Remove every derivative of an original, which itself stays; give the keys under which nothing is any more.

        What is being made of it is finished first, so that nothing of that is left over.

        Raises:
            BadKey, StoreError: see `proxy.errors`.
        """
        self.recipe.check(original, [])
        async with self._berths.at(original).alone(Turn(Urgency.JOB)):
            keys = await find_derivatives(self._store, self.recipe, original)
            # Each is tried, and over, before the next flight may begin.
            outcomes = await asyncio.gather(*map(self._store.delete, keys), return_exceptions=True)
            self._purges += 1
            self._memory.forget(original, *keys)
        if fault := next(faults(outcomes), None):
            raise fault
        return keys

    async def _locate_original(self, original: str, spent: Spent) -> Located:
        self.recipe.check(original, [])
        with spent.at_the_store():
            await self._head(original, patient=False)
        return Located(key=original, source="store")

    async def _make_missing(self, original: str, size: str, spent: Spent) -> Located:
        started = time.perf_counter()
        try:
            made = await self.make_all(original, remake="missing", urgency=Urgency.PAGE)
        except ImagesError:
            spent.store_seconds += time.perf_counter() - started
            raise
        spent.add(made)
        if made.fault and size not in [one.size for one in made.derivatives]:
            raise made.fault
        return Located(key=self.recipe.key(original, size), source="render")

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
        return blob

    def _take_off(
        self, original: str, wanted: tuple[str, ...], remake: Remake, urgency: Urgency
    ) -> Coroutine[object, object, Made]:
        turn = Turn(urgency, line_seconds=self._terms.haste.line_seconds if urgency is Urgency.PAGE else None)
        berth = self._berths.at(original)
        berth.expect(turn)
        return self._fly(original, wanted, remake=remake, turn=turn, berth=berth)

    async def _fly(self, original: str, wanted: tuple[str, ...], *, remake: Remake, turn: Turn, berth: Berth) -> Made:
        # Flights that want different things of one original go one after another: the later finds what was made.
        async with berth.alone(turn):
            started = time.perf_counter()
            try:
                blob = await self._head(original, patient=turn.is_patient)
            except NotFound as absence:
                self._memory.absent.put(original, str(absence))
                raise
            # A job may know more than page views do; but while the store fails, they need what they know.
            if turn.is_patient:
                self._memory.forget(original, *(self.recipe.key(original, size) for size in wanted))
            made = await self._make(blob, wanted, remake=remake, turn=turn)
            try:
                is_replaced = (
                    made.is_lasting and (await self._head(original, patient=turn.is_patient)).etag != blob.etag
                )
            except ImagesError as fault:  # removed, or nobody knows; what was made is there all the same
                made, is_replaced = replace(made, fault=made.fault or fault), False
        # Replaced while it was rendered: whoever replaced it may have been told that this flight makes its derivatives.
        if is_replaced:
            return await self._fly(original, wanted, remake="stale", turn=turn, berth=berth)
        elsewhere = made.wait_seconds + made.render_seconds
        return replace(made, store_seconds=time.perf_counter() - started - elsewhere)

    async def _make(self, original: Blob, wanted: tuple[str, ...], *, remake: Remake, turn: Turn) -> Made:
        is_patient = turn.is_patient
        there = {} if remake == "all" else await self._usable(original, wanted, remake=remake, patient=is_patient)
        due = tuple(name for name in wanted if name not in there)
        only_new = remake == "missing" and self._terms.conditional_writes
        started = time.perf_counter()
        try:
            made = await self._maker.make(original, due, turn=turn, only_new=only_new) if due else Made()
        except (Refused, ImagesError) as fault:
            fault = self._remembered(original, fault)
            seconds = 0.0 if isinstance(fault, StoreError) else time.perf_counter() - started
            made = Made(fault=fault, render_seconds=seconds)
        else:
            self._memory.failures.forget(original.key)
        there |= {one.size: one for one in made.derivatives}
        for one in there.values():
            self._memory.known.put(one.key, value=True)
        return replace(made, derivatives=tuple(there[name] for name in wanted if name in there))

    def _remembered(self, original: Blob, fault: Refused | ImagesError) -> Refused | ImagesError:
        """Remember what no other try will change as long as the original's bytes stay; give it as it is told."""
        fault = self._memory.fail(original.key, fault, etag=original.etag)
        if isinstance(fault, Refused | TooManyBytes):
            metrics.refused_total.labels(fault.code).inc()
        return fault

    async def _usable(
        self, original: Blob, wanted: tuple[str, ...], *, remake: Remake, patient: bool
    ) -> dict[str, Derivative]:
        keys = [self.recipe.key(original.key, name) for name in wanted]
        libvips = self._renderers.libvips
        blobs = await asyncio.gather(*(self._terms.haste.look(self._store.head(key), patient=patient) for key in keys))
        return {
            name: derivative(name, blob)
            for name, blob in zip(wanted, blobs, strict=True)
            if blob
            and (remake == "missing" or self.recipe.is_fresh(blob, original=original, size=name, libvips=libvips))
        }
