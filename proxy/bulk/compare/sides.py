"""The sides of a comparison: derivatives in a folder, below a prefix of the store, or below a base URL."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anyio import Path as AsyncPath

from proxy.bulk.compare.findings import STORE
from proxy.errors import CannotStart, NotFound
from proxy.keys.syntax import url
from proxy.stores.file.store import FileStore
from proxy.stores.memory import MemoryStore
from proxy.stores.origin.store import OriginStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from proxy.stores.base import Blob, Store

MAX_BYTES: Final = 64 << 20
"""The largest file that is fetched; a derivative has a hundredth of that."""

_WEB: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: files in `store` whose keys follow `prefix`.

    A `folder` is only read: starting its store would create files in it. A file there has a cache header only if a file
    store has stored one beside it.
    """

    name: str
    store: Store
    prefix: str = ""
    folder: Path | None = None
    can_list: bool = True
    known: Store | None = None
    """The store behind a base URL: only what it has is requested, as a CDN would keep that the rest is missing.

    It is not opened with the side, because the other side may be that store.
    """

    @property
    def has_headers(self) -> bool:
        """Return whether clients receive headers for every file."""
        return self.folder is None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Yield with the side open.

        Raises:
            CannotStart: the folder does not exist.
        """
        await self.check()
        if self.folder:
            yield
            return
        await self.store.start()
        try:
            yield
        finally:
            await self.store.close()

    async def check(self) -> None:
        """Raise an error if the side is a folder that does not exist; a store is not checked.

        Raises:
            CannotStart: the folder does not exist.
        """
        if self.folder and not await AsyncPath(self.folder).is_dir():
            raise CannotStart(
                f"--old, --new or --originals: the folder {self.folder} does not exist. Use an existing folder, "
                f"{STORE}KEYS for a key prefix of the store, or a URL."
            )

    async def fetch(self, key: str, path: Path) -> Blob | None:
        """Fetch the file under `key` to `path`; return None if it does not exist.

        Raises:
            TooManyBytes: the file is too large to be a derivative.
            StoreError: the store failed.
        """
        if self.known and await self.known.head(key) is None:
            return None
        try:
            return await self.store.fetch(self.prefix + key, path, max_bytes=MAX_BYTES)
        except NotFound:
            return None

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Blob]:
        """Yield the files whose keys begin with `prefix` and follow `after`, in the order of the store."""
        async for blob in self.store.list(self.prefix + prefix, after=self.prefix + after if after else ""):
            yield replace(blob, key=blob.key.removeprefix(self.prefix))


def open_side(name: str, *, open_store: Callable[[], Store], public_base_url: str = "") -> Side:
    """Return the side with this name: `prefix:shadow/` (in the configured store), a base URL, or a folder.

    `public_base_url` is the base URL at which browsers read the configured store.
    """
    if name.startswith(STORE):
        return Side(name=name, store=open_store(), prefix=name.removeprefix(STORE))
    if name.startswith(_WEB):
        known = open_store() if name.rstrip("/") == public_base_url.rstrip("/") else None
        return Side(name=name, store=OriginStore(partial(url, name), MemoryStore()), can_list=False, known=known)
    folder = Path(name.removeprefix("file://")).resolve()
    return Side(name=name, store=FileStore(folder), folder=folder)
