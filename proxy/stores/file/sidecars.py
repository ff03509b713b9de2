"""Sidecar files, for the attributes of blobs that a file system does not store."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import TYPE_CHECKING

import msgspec

from proxy.stores.file.atomic import Identity, locked, move_into_place, written
from proxy.stores.headers import stored_attributes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from proxy.stores.base import Attributes


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of exactly one file; they do not apply to another file under the same key."""

    identity: Identity
    content_type: str
    cache_control: str | None
    metadata: dict[str, str]

    def attributes(self) -> Attributes:
        return stored_attributes(self.content_type, self.cache_control, self.metadata)


class Sidecars:
    """The stored attributes of blobs, by key and file identity.

    A sidecar is written before its blob becomes visible, and also holds the record of the previous blob. So a reader
    finds the right attributes for whichever of the two it sees, even if the writer dies in between. A file that was
    replaced by hand has no attributes, rather than those of the file before it.
    """

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder = folder
        self._temporary = temporary

    def locked(self, key: str) -> AbstractContextManager[None]:
        """Hold the lock of `key` against other writers, in this process and others.

        One of 256 locks is chosen by the digest of `key`, so other keys may share it.
        """
        return locked(self.folder.with_name("locks") / _digest(key)[:2])

    def read(self, key: str, identity: Identity) -> Attributes | None:
        """Return the attributes of the file `identity` under `key`, or None if they are unknown."""
        return next((found.attributes() for found in self._records(key) if found.identity == identity), None)

    def write(self, key: str, identity: Identity, attributes: Attributes, *, current: Identity | None) -> None:
        """Store `attributes` for the file `identity`, which is about to replace `current` under `key`."""
        record = _Record(
            identity=identity,
            content_type=attributes.content_type,
            cache_control=attributes.cache_control,
            metadata=dict(attributes.metadata),
        )
        kept = [old for old in self._records(key) if old.identity == current]
        with written(self._temporary, BytesIO(msgspec.json.encode([record, *kept]))) as (path, _):
            move_into_place(path, self._path(key))

    def remove(self, key: str) -> None:
        """Remove the sidecar of `key`."""
        self._path(key).unlink(missing_ok=True)

    def _records(self, key: str) -> list[_Record]:
        try:
            return msgspec.json.decode(self._path(key).read_bytes(), type=list[_Record])
        except (FileNotFoundError, msgspec.DecodeError):
            return []

    def _path(self, key: str) -> Path:
        digest = _digest(key)
        return self.folder / digest[:2] / f"{digest}.json"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
