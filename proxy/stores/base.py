"""The interface of all stores: blobs under keys, written atomically."""

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
"""The content type of a blob whose type is unknown."""

UNKNOWN_LENGTH: Final = 1 << 62
"""The number of bytes of a blob whose server announces none: more than any limit, so that the limit is reserved."""


class AlreadyThere(Exception):
    """The key already exists; raised only inside a store, because `put_new` then returns None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """The content type, the cache control and the metadata that are stored with a blob.

    Metadata names are lower case ASCII letters, digits and `-`. Values are non-empty text without control characters.
    S3 stores at most 2,000 bytes of names and values together.
    """

    content_type: str = UNKNOWN_TYPE
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    has_acl: bool = field(default=True, compare=False)
    """Whether a bucket gives it the ACL of `S3_ACL`, which may make it public; a property of a write, never read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A stored blob without its bytes: key, size, ETag, modification time and attributes."""

    key: str
    bytes: int
    """Its length, or `UNKNOWN_LENGTH`: some origins announce none until the blob is fetched."""
    etag: str
    """Changes whenever the bytes change; without HTTP's quotes."""
    modified: datetime
    attributes: Attributes


NO_VERSION: Final = ""
"""The version of a blob in a store that keeps no versions."""

NULL_VERSION: Final = "null"
"""The version of a blob that was written while its bucket kept no versions; S3's own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobVersion:
    """A version of a blob, current or not, or the marker that it was deleted; `version` is the store's id of it."""

    key: str
    version: str
    bytes: int = 0
    is_marker: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the blob may be in a store without versions, so that deleting its key removes it."""
        return self.version in (NO_VERSION, NULL_VERSION) and not self.is_marker


def check_length(key: str) -> None:
    """Raise if `key` is too long to be stored.

    Raises:
        UnfitKey: `key` is longer than `MAX_KEY_BYTES` bytes of UTF-8.
    """
    if len(key.encode()) > MAX_KEY_BYTES:
        raise UnfitKey(f"The key is longer than {MAX_KEY_BYTES} bytes; choose a shorter one.")


class Store(Protocol):
    """A store of blobs under keys, with atomic writes.

    Readers see the old blob until the new one replaces it as a whole. Every method may raise
    `StoreUnavailable` (a retry may succeed) or `StoreRefused` (a retry would fail again).
    """

    async def start(self) -> None:
        """Open the resources that `close` releases; called once, before any other method."""
        ...

    async def head(self, key: str) -> Blob | None:
        """Return the blob under `key`, without its bytes, or None if the key does not exist."""
        ...

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Download a blob to the local file `path`; on any error no file is left at `path`.

        Raises:
            NotFound: no blob exists under `key`.
            TooManyBytes: the blob is larger than `max_bytes`.
        """
        ...

    def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[tuple[Blob, AsyncIterator[bytes]]]:
        """Yield a blob and an iterator over its bytes in chunks, without holding them all in memory.

        With `byte_range`, the iterator returns only those bytes; the yielded `Blob` still describes the whole blob.

        Raises:
            NotFound: no blob exists under `key` (on entering).
            Changed: the blob is no longer the one that `byte_range` refers to (on entering).
        """
        ...

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """Store the local file `path` under `key`; the blob is durable when this returns."""
        ...

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        """Store the local file `path` under `key`, or return None without writing if the key exists.

        The existing blob may also be from an earlier attempt of this same call whose response was lost.
        """
        ...

    async def copy(self, source: str, target: str) -> Blob:
        """Copy the blob under `source`, with its attributes, to `target`, which is replaced if it exists.

        A bucket copies it on the server; the bytes do not pass through this process.

        Raises:
            NotFound: no blob exists under `source`.
        """
        ...

    async def delete(self, key: str) -> None:
        """Delete the blob under `key`; a missing key is not an error."""
        ...

    def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        """Yield the blobs whose keys begin with `prefix`, in the order of the keys' UTF-8 bytes.

        This is S3's order. Some servers that speak its protocol use another order: SeaweedFS compares keys segment by
        segment. `after` resumes a listing: only keys that follow it, in the store's order, are yielded. The attributes
        of a listed blob may be empty; only `head` guarantees them.
        """
        ...

    def versions(self, prefix: str) -> AsyncIterator[BlobVersion]:
        """Yield all versions of all blobs whose keys begin with `prefix`, and the markers of deleted ones.

        A store without versions yields its blobs.

        Raises:
            PermissionMissing: the credentials may not list versions.
        """
        ...

    async def delete_version(self, key: str, version: str) -> None:
        """Delete one version, or marker, of a blob permanently; a missing one is not an error.

        Raises:
            PermissionMissing: the credentials may not delete versions.
        """
        ...

    async def check(self) -> None:
        """Raise if the store cannot be reached or used."""
        ...

    async def close(self) -> None:
        """Release the resources that `start` opened."""
        ...
