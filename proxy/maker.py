"""Making derivatives of one original: its bytes fetched, rendered, and what came of them put into the store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.wire import Render
from proxy import metrics
from proxy.errors import ImagesError, StoreUnavailable
from proxy.made import Made
from proxy.recipe import Derivative, derivative

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.wire import Rendered
    from proxy.limiter import Turn
    from proxy.recipe import Recipe
    from proxy.renderers import Renderers
    from proxy.stores.base import Blob, Store
    from proxy.terms import Terms


class Maker:
    """Makes derivatives, whoever asked for them; who may ask when is for `Derivatives` to say."""

    def __init__(self, *, store: Store, renderers: Renderers, recipe: Recipe, terms: Terms) -> None:
        self._store = store
        self._renderers = renderers
        self._recipe = recipe
        self._terms = terms

    async def make(self, original: Blob, due: tuple[str, ...], *, turn: Turn, only_new: bool) -> Made:
        """Make the sizes that are `due` of an original; `only_new`: one that is there meanwhile is left as it is.

        Raises:
            Busy: the line is full, or too long; a patient caller stands in it all the same.
            Refused, TooManyBytes, DeadlineExceeded, ProcessDied, StoreError: why nothing was made. What kept some of
                the sizes from the store is told as the fault of what was made.
        """
        with self._renderers.place(turn):
            async with self._terms.scratch.folder(min(original.bytes, self._terms.max_bytes), turn) as folder:
                return await self._render_in(folder, original, due, turn=turn, only_new=only_new)

    async def _render_in(
        self, folder: Path, original: Blob, due: tuple[str, ...], *, turn: Turn, only_new: bool
    ) -> Made:
        path = folder / "original"
        fetch = self._store.fetch(original.key, path, max_bytes=self._terms.max_bytes)
        fetched = await self._terms.haste.move(fetch, original.bytes, patient=turn.is_patient)
        question = Render(
            path=str(path),
            folder=str(folder),
            sizes=self._recipe.sizes,
            wanted=due,
            limits=self._terms.limits,
        )
        rendering = await self._renderers.render(question, turn)
        metrics.render_seconds.labels(rendering.derived.info.format).observe(rendering.render_seconds)
        puts = [
            self._terms.haste.move(
                self._keep(one, original=fetched, only_new=only_new), one.bytes, patient=turn.is_patient
            )
            for one in rendering.derived.derivatives
        ]
        # Every put is over before the folder goes: the first fault is told only then.
        kept = await asyncio.gather(*puts, return_exceptions=True)
        return Made(
            derivatives=tuple(one for one in kept if isinstance(one, Derivative)),
            fault=next(faults(kept), None),
            wait_seconds=rendering.wait_seconds,
            render_seconds=rendering.render_seconds,
        )

    async def _keep(self, rendered: Rendered, *, original: Blob, only_new: bool) -> Derivative:
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
        return derivative(rendered.size, blob)


def faults(outcomes: Iterable[object]) -> Iterator[ImagesError]:
    """Give what is wrong in our own words; raise what is a fault of ours."""
    for outcome in outcomes:
        if isinstance(outcome, ImagesError):
            yield outcome
        elif isinstance(outcome, BaseException):
            raise outcome
