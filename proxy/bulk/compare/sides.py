"""The two sides of a comparison: derivatives in a folder, below a prefix of the store, or behind an address."""

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
"""The largest file that is fetched; a derivative has a hundredth of it."""

_WEB: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Where the files of one side lie: in `store`, their keys behind `prefix`.

    A `folder` is only read: a store would create files in it. A file there has a cache header only if a file store
    has written one beside it.
    """

    name: str
    store: Store
    prefix: str = ""
    folder: Path | None = None
    can_list: bool = True

    @property
    def has_headers(self) -> bool:
        """Return whether clients get headers for every file."""
        return self.folder is None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open it for the length of the block.

        Raises:
            CannotStart: there is no such folder.
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
        """Return when it can be read; raise what is wrong otherwise.

        Raises:
            CannotStart: there is no such folder.
            StoreError: the store cannot be used.
        """
        if self.folder and not await AsyncPath(self.folder).is_dir():
            raise CannotStart(f"There is no folder {self.folder}.")

    async def fetch(self, key: str, path: Path) -> Blob | None:
        """Fetch the file under `key` to `path`; return None when there is none.

        Raises:
            TooManyBytes: it is too large to be a derivative.
            StoreError: the store failed.
        """
        try:
            return await self.store.fetch(self.prefix + key, path, max_bytes=MAX_BYTES)
        except NotFound:
            return None

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Blob]:
        """Return the files whose keys begin with `prefix`, those behind `after`, in the order of the store."""
        async for blob in self.store.list(self.prefix + prefix, after=self.prefix + after if after else ""):
            yield replace(blob, key=blob.key.removeprefix(self.prefix))


def open_side(name: str, *, open_store: Callable[[], Store]) -> Side:
    """Return the side of this name: `prefix:shadow/` (in the store of the settings), an address, or a folder."""
    if name.startswith(STORE):
        return Side(name=name, store=open_store(), prefix=name.removeprefix(STORE))
    if name.startswith(_WEB):
        return Side(name=name, store=OriginStore(partial(url, name), MemoryStore()), can_list=False)
    folder = Path(name.removeprefix("file://")).resolve()
    return Side(name=name, store=FileStore(folder), folder=folder)
