"""What a file system does not keep of a blob, in files of our own beside the blobs."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import TYPE_CHECKING

import msgspec

from proxy.stores.base import Attributes
from proxy.stores.file.atomic import Identity, locked, move_into_place, written

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of exactly one file; another one under the same key is not meant."""

    identity: Identity
    content_type: str
    cache_control: str | None
    metadata: dict[str, str]

    def attributes(self) -> Attributes:
        return Attributes(content_type=self.content_type, cache_control=self.cache_control, metadata=self.metadata)


class Sidecars:
    """Attributes by key and identity.

    A sidecar is written before its blob becomes visible, and until then still holds the record of the blob before
    it. So whichever of the two a reader sees has its own attributes; and a file that was replaced by hand, or by a
    writer that died half-way, has none rather than somebody else's.
    """

    def __init__(self, folder: Path, temporary: Path) -> None:
        self._folder = folder
        self._temporary = temporary

    def locked(self, key: str) -> AbstractContextManager[None]:
        """Keep every other writer of `key` waiting, in this process and others."""
        return locked(self._folder.with_name("locks") / _digest(key)[:2])

    def read(self, key: str, identity: Identity) -> Attributes | None:
        """Tell the attributes of the file `identity` under `key`; None when they are not known."""
        return next((found.attributes() for found in self._records(key) if found.identity == identity), None)

    def write(self, key: str, identity: Identity, attributes: Attributes, *, current: Identity | None) -> None:
        """Keep `attributes` for the file `identity`, which is about to replace `current` under `key`."""
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
        """Forget all that is known of `key`."""
        self._path(key).unlink(missing_ok=True)

    def _records(self, key: str) -> list[_Record]:
        try:
            return msgspec.json.decode(self._path(key).read_bytes(), type=list[_Record])
        except (FileNotFoundError, msgspec.DecodeError):
            return []

    def _path(self, key: str) -> Path:
        digest = _digest(key)
        return self._folder / digest[:2] / f"{digest}.json"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
