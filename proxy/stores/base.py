"""What every store promises: bytes under keys, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from proxy.errors import UnfitKey
from proxy.keys.syntax import MAX_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime
    from pathlib import Path

    from proxy.stores.ranges import ByteRange

UNKNOWN_TYPE: Final = "application/octet-stream"
"""The content type of bytes of which nothing is known."""


class AlreadyThere(Exception):
    """Something is under a key that was to be new; `put_new` answers None, so it never leaves a store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What is kept with a blob besides its bytes.

    Metadata names are lower case ASCII letters, digits and `-`. Values are any text without control characters, not
    empty; S3 holds at most 2,000 bytes of names and values together.
    """

    content_type: str = UNKNOWN_TYPE
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


def check_length(key: str) -> None:
    """Return when `key` is short enough for every store.

    Raises:
        UnfitKey: it is not.
    """
    if len(key.encode()) > MAX_KEY_BYTES:
        raise UnfitKey(f"No store can hold this key: it has over {MAX_KEY_BYTES} bytes.")


class Store(Protocol):
    """A place for bytes under keys.

    A put becomes visible whole, in one step, and replaces what was there; until then readers see the old blob.
    Every method may raise `StoreUnavailable` (later, perhaps) or `StoreRefused` (never).
    """

    async def start(self) -> None:
        """Open what is held open until `close`; called once, before anything else."""
        ...

    async def head(self, key: str) -> Blob | None:
        """Tell what is under `key`; None when nothing is."""
        ...

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Write the whole blob to the local file `path`; whatever is raised, nothing of it is left at `path`.

        Raises:
            NotFound: nothing is under `key`.
            TooManyBytes: the blob is larger than `max_bytes`.
        """
        ...

    def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[tuple[Blob, AsyncIterator[bytes]]]:
        """Read a blob in chunks, without holding it in memory; or a part of it, beside what is told of the whole.

        Raises:
            NotFound: nothing is under `key` (on entering).
            Changed: the `byte_range` is of another blob than is there now (on entering).
        """
        ...

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """Keep the bytes of the local file `path` under `key`; when this returns, they stay."""
        ...

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        """Put, unless something is under `key` already: then that stays, and None is the answer.

        What is there may also be what this call itself put, when the answer to it was lost on the way.
        """
        ...

    async def copy(self, source: str, target: str) -> Blob:
        """Put what is under `source` under `target` too, attributes and all, without reading it here.

        Raises:
            NotFound: nothing is under `source`.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove what is under `key`; nothing there is no error."""
        ...

    def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        """Walk the blobs whose keys begin with `prefix`, in the order of their keys' UTF-8 bytes.

        That is S3's order; some that speak its protocol have another one (SeaweedFS compares segment by segment).
        With `after`, a walk that had come to that key goes on behind it, in that same order.
        The attributes of a listed blob may be empty: a listing does not promise them, `head` does.
        """
        ...

    async def check(self) -> None:
        """Return when the store can be reached and used; raise what is wrong otherwise."""
        ...

    async def close(self) -> None:
        """Give back what is held open."""
        ...
