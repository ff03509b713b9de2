"""The one use-case: where is this derivative? Known, else in the store, else rendered with all that are missing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

from pipeline.errors import Refused
from pipeline.wire import Limits, Render
from proxy import metrics
from proxy.errors import NotFound, StoreError, StoreUnavailable, TooManyBytes
from proxy.haste import Haste
from proxy.keys import ORIGINAL
from proxy.memory import Failure
from proxy.recipe import Derivative, derivative
from proxy.singleflight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.wire import Rendered
    from proxy.memory import Memory
    from proxy.recipe import Recipe
    from proxy.renderers import Renderers, Rendering
    from proxy.scratch import Scratch
    from proxy.stores.base import Blob, Store

Remake = Literal["missing", "stale", "all"]
"""Which of the wanted derivatives are made: those that are not there; also those made of other bytes or by another
recipe than today's; every one."""

Source = Literal["cache", "store", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """All derivatives that were wanted, and how many seconds were spent at the store, in line, rendering."""

    derivatives: tuple[Derivative, ...]
    store_seconds: float
    wait_seconds: float = 0.0
    render_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where a derivative is, how that was found out, and what it took if something had to be made."""

    key: str
    source: Source
    store_seconds: float = 0.0
    made: Made | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How much is taken on, and where it is worked on."""

    max_bytes: int
    limits: Limits
    scratch: Scratch
    conditional_writes: bool = False
    """What a page view found missing is written only where nothing is yet."""
    haste: Haste = field(default_factory=Haste)


class Derivatives:
    """Finds derivatives and makes what is missing; page views, jobs and reprocessing all come through here."""

    def __init__(self, *, store: Store, renderers: Renderers, recipe: Recipe, memory: Memory, terms: Terms) -> None:
        self.recipe = recipe
        self._store = store
        self._renderers = renderers
        self._memory = memory
        self._terms = terms
        self._flights: SingleFlight[Made] = SingleFlight()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def locate(self, original: str, size: str) -> Located:
        """Tell where a size of an original is; what is missing of it is made first, all sizes at once.

        Raises:
            BadKey, UnknownSize, NotFound, TooManyBytes, Busy, RenderFailed, StoreError: see `proxy.errors`.
            Refused: what is wrong with the original, see `pipeline.errors`.
        """
        if size == ORIGINAL:
            return await self._locate_original(original)
        self.recipe.check(original, [size])
        key = self.recipe.key(original, size)
        if self._memory.known.get(key):
            return Located(key=key, source="cache")
        started = time.perf_counter()
        if source := await self._look(key):
            self._memory.known.put(key, value=True)
            return Located(key=key, source=source, store_seconds=time.perf_counter() - started)
        await self._recall(original)
        made = await self.make_all(original, remake="missing", patient=False)
        return Located(key=key, source="render", store_seconds=made.store_seconds, made=made)

    async def make_all(
        self, original: str, sizes: Sequence[str] = (), *, remake: Remake = "stale", patient: bool = True
    ) -> Made:
        """Make the derivatives of an original, `sizes` of them or all; one flight per original at a time.

        A `patient` caller waits in line however long the line is. Raises what `locate` raises.
        """
        wanted = tuple(sizes) or self.recipe.names
        self.recipe.check(original, wanted)
        return await self._flights.run(
            (original, wanted, remake), lambda: self._fly(original, wanted, remake=remake, patient=patient)
        )

    async def _locate_original(self, original: str) -> Located:
        self.recipe.check(original, [])
        started = time.perf_counter()
        await self._head(original, patient=False)
        return Located(key=original, source="store", store_seconds=time.perf_counter() - started)

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
        failure = self._memory.failures.get(original)
        if failure and (await self._head(original, patient=False)).etag == failure.etag:
            raise failure.kind(failure.detail)

    async def _head(self, original: str, *, patient: bool) -> Blob:
        blob = await self._terms.haste.look(self._store.head(original), patient=patient)
        if blob is None:
            raise NotFound(f"There is no original {original!r} in the store; upload it first.")
        return blob

    async def _fly(self, original: str, wanted: tuple[str, ...], *, remake: Remake, patient: bool) -> Made:
        # Flights that want different things of one original go one after another: the later finds what was made.
        async with self._locks.setdefault(original, asyncio.Lock()):
            self._memory.forget(original)
            started = time.perf_counter()
            try:
                blob = await self._head(original, patient=patient)
            except NotFound as absence:
                self._memory.absent.put(original, str(absence))
                raise
            try:
                made, rendering = await self._make(blob, wanted, remake=remake, patient=patient)
            except (Refused, TooManyBytes) as fault:
                metrics.refused_total.labels(fault.code).inc()
                self._memory.failures.put(original, Failure(kind=type(fault), detail=str(fault), etag=blob.etag))
                raise
            accounted = _account(made, rendering, seconds=time.perf_counter() - started)
            is_current = rendering is None or (await self._head(original, patient=patient)).etag == blob.etag
        # Replaced while it was rendered: whoever replaced it may have been told that this flight makes its derivatives.
        return accounted if is_current else await self._fly(original, wanted, remake="stale", patient=patient)

    async def _make(
        self, original: Blob, wanted: tuple[str, ...], *, remake: Remake, patient: bool
    ) -> tuple[tuple[Derivative, ...], Rendering | None]:
        there = {} if remake == "all" else await self._usable(original, wanted, remake=remake, patient=patient)
        due = tuple(name for name in wanted if name not in there)
        rendering = None
        if due:
            only_new = remake == "missing" and self._terms.conditional_writes
            rendering, fresh = await self._render(original, due, patient=patient, only_new=only_new)
            there |= fresh
        for made in there.values():
            self._memory.known.put(made.key, value=True)
        return tuple(there[name] for name in wanted), rendering

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

    async def _render(
        self, original: Blob, due: tuple[str, ...], *, patient: bool, only_new: bool
    ) -> tuple[Rendering, dict[str, Derivative]]:
        with self._renderers.place(patient=patient):
            async with self._terms.scratch.folder() as folder:
                return await self._render_in(folder, original, due, patient=patient, only_new=only_new)

    async def _render_in(
        self, folder: Path, original: Blob, due: tuple[str, ...], *, patient: bool, only_new: bool
    ) -> tuple[Rendering, dict[str, Derivative]]:
        path = folder / "original"
        fetch = self._store.fetch(original.key, path, max_bytes=self._terms.max_bytes)
        fetched = await self._terms.haste.move(fetch, original.bytes, patient=patient)
        question = Render(
            path=str(path),
            folder=str(folder),
            sizes=self.recipe.sizes,
            wanted=due,
            limits=self._terms.limits,
        )
        rendering = await self._renderers.render(question)
        metrics.render_seconds.labels(rendering.derived.info.format).observe(rendering.render_seconds)
        puts = [
            self._terms.haste.move(self._keep(one, original=fetched, only_new=only_new), one.bytes, patient=patient)
            for one in rendering.derived.derivatives
        ]
        # Every put is over before the folder goes: the first fault is raised only then.
        kept = await asyncio.gather(*puts, return_exceptions=True)
        return rendering, {made.size: made for made in _all_well(kept)}

    async def _keep(self, rendered: Rendered, *, original: Blob, only_new: bool) -> Derivative:
        key = self.recipe.key(original.key, rendered.size)
        attributes = self.recipe.attributes(rendered, original=original)
        put = self._store.put_new if only_new else self._store.put
        blob = await put(key, Path(rendered.path), attributes)
        if blob is None:  # another machine was first, with the same bytes
            metrics.writes_lost_total.inc()
            blob = await self._store.head(key)
        else:
            metrics.upload_bytes_total.inc(blob.bytes)
        if blob is None:
            raise StoreUnavailable("A derivative was deleted in the moment it was written; ask again.")
        return derivative(rendered.size, blob)


def _all_well(outcomes: Sequence[Derivative | BaseException]) -> list[Derivative]:
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Derivative)]


def _account(made: tuple[Derivative, ...], rendering: Rendering | None, *, seconds: float) -> Made:
    if rendering is None:
        return Made(derivatives=made, store_seconds=seconds)
    elsewhere = rendering.wait_seconds + rendering.render_seconds
    return Made(
        derivatives=made,
        store_seconds=seconds - elsewhere,
        wait_seconds=rendering.wait_seconds,
        render_seconds=rendering.render_seconds,
    )
