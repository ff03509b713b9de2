"""One of two sides that are compared: derivatives in a folder, below a prefix of the store, or behind an address."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
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
"""The largest file that is fetched to be compared; a derivative is a hundredth of it."""

_WEB: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Where the files of one side lie: in `store`, their keys behind `prefix`.

    A `folder` is only read: so nothing is begun in it that a store would begin, and a file there has a cache header
    only if a file store has kept one beside it.
    """

    word: str
    store: Store
    prefix: str = ""
    folder: Path | None = None
    can_list: bool = True

    @property
    def has_headers(self) -> bool:
        """Whether clients are told something of every file besides its bytes."""
        return self.folder is None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Have it ready to be read for the length of the block.

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
        """Return when it can be read.

        Raises:
            CannotStart: there is no such folder.
            StoreError: the store cannot be used.
        """
        if self.folder and not await AsyncPath(self.folder).is_dir():
            raise CannotStart(f"There is no folder {self.folder}.")

    async def fetch(self, key: str, path: Path) -> Blob | None:
        """Write the file under `key` to `path`; None when there is none.

        Raises:
            TooManyBytes: it is too large to be a derivative.
            StoreError: the store did not do it.
        """
        try:
            return await self.store.fetch(self.prefix + key, path, max_bytes=MAX_BYTES)
        except NotFound:
            return None

    async def keys(self, prefix: str, *, after: str = "") -> AsyncIterator[str]:
        """Walk the keys that begin with `prefix`, those behind `after`, in the order of the store."""
        async for blob in self.store.list(self.prefix + prefix, after=self.prefix + after if after else ""):
            yield blob.key.removeprefix(self.prefix)


def side(word: str, *, open_store: Callable[[], Store]) -> Side:
    """Read what a side is called: `prefix:shadow/` (in the store of the settings), an address, or a folder."""
    if word.startswith(STORE):
        return Side(word=word, store=open_store(), prefix=word.removeprefix(STORE))
    if word.startswith(_WEB):
        return Side(word=word, store=OriginStore(partial(url, word), MemoryStore()), can_list=False)
    folder = Path(word.removeprefix("file://")).resolve()
    return Side(word=word, store=FileStore(folder), folder=folder)
