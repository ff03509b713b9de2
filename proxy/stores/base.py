"""What every store promises: bytes under keys, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What is kept with a blob besides its bytes. Metadata names are lower case ASCII letters, digits and `-`."""

    content_type: str = "application/octet-stream"
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes under a key, and what a client is told of them: everything but the bytes themselves."""

    key: str
    bytes: int
    etag: str
    """Changes whenever the bytes do; without the quotes that HTTP puts around it."""
    modified: datetime
    attributes: Attributes


class Store(Protocol):
    """A place for bytes under keys.

    A put becomes visible whole, in one step, and replaces what was there; until then readers see the old blob.
    Every method may raise `StoreUnavailable` (later, perhaps) or `StoreRefused` (never).
    """

    async def head(self, key: str) -> Blob | None:
        """Tell what is under `key`; None when nothing is."""
        ...

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Write the whole blob to the local file `path`.

        Raises:
            NotFound: nothing is under `key`.
            TooManyBytes: the blob is larger than `max_bytes`; nothing of it is left at `path`.
        """
        ...

    def open(self, key: str) -> AbstractAsyncContextManager[tuple[Blob, AsyncIterator[bytes]]]:
        """Read a blob in chunks, without holding it in memory.

        Raises:
            NotFound: nothing is under `key` (on entering).
        """
        ...

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """Keep the bytes of the local file `path` under `key`; when this returns, they stay."""
        ...

    async def delete(self, key: str) -> None:
        """Remove what is under `key`; nothing there is no error."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[Blob]:
        """Walk the blobs whose keys begin with `prefix`, in the order of their keys' UTF-8 bytes.

        The attributes of a listed blob may be empty: a listing does not promise them, `head` does.
        """
        ...

    async def check(self) -> None:
        """Return when the store can be reached and used; raise what is wrong otherwise."""
        ...

    async def close(self) -> None:
        """Give back what is held open."""
        ...
