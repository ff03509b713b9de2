"""Reads the facts of an original from the original itself; nothing keeps them."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.facts_model import Facts
from proxy.concurrency.admission import Priority
from proxy.concurrency.timings import Timings
from proxy.derivatives.generator import absence

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.derivatives.policy import GenerationPolicy
    from proxy.derivatives.recipe import Recipe
    from proxy.rendering.pool import RenderPool
    from proxy.stores.base import Store

_SHA_256: Final = "sha256"


class OriginalFacts(Facts, frozen=True, kw_only=True):
    """The facts of the original under `key`, with the length and the SHA-256 of its file."""

    key: str
    sha256: str
    bytes: int


class FactsReader:
    """A reader of facts, which fetches the original each time, and works in the background of page views."""

    def __init__(self, *, store: Store, render_pool: RenderPool, recipe: Recipe, policy: GenerationPolicy) -> None:
        self._store = store
        self._render_pool = render_pool
        self._recipe = recipe
        self._policy = policy

    async def read(self, original: str, timings: Timings | None = None) -> OriginalFacts:
        """Return the facts of an original, as its file is now; durations are added to `timings`, on failure too.

        Raises:
            BadKey: this is not the key of an original.
            NotFound: the original does not exist.
            TooManyBytes, Busy, NoRoom, RenderFailed, StoreError: see `proxy.errors`.
            Refused: the file is no original, see `pipeline.errors`.
        """
        self._recipe.check(original, [])
        timeouts, most_bytes = self._policy.timeouts, self._policy.max_bytes
        spent = timings or Timings()
        with spent.measure_store():
            blob = await timeouts.lookup(self._store.head(original))
        if blob is None:
            raise absence(original)
        ticket = timeouts.ticket(Priority.JOB)
        size = min(blob.bytes, most_bytes)
        with self._render_pool.admit(ticket):
            async with AsyncExitStack() as stack:
                with spent.measure_wait():
                    folder = await stack.enter_async_context(self._policy.scratch.folder(size, ticket))
                path = folder / "original"
                with spent.measure_store():
                    fetched = self._store.fetch(original, path, max_bytes=most_bytes)
                    await timeouts.transfer(fetched, size, unbounded=False)
                with spent.measure_render():
                    facts = await self._render_pool.read_facts(path, ticket, limits=self._policy.limits)
                checksum, length = await asyncio.to_thread(digest, path)
        return OriginalFacts(**msgspec.structs.asdict(facts), key=original, sha256=checksum, bytes=length)


def digest(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file in hexadecimal digits, and its length in bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _SHA_256).hexdigest(), file.tell()
