"""A store in a folder: each blob is a plain file at `<root>/<key>`, which can be added and inspected by hand."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Final

from anyio.to_thread import run_sync

from pipeline.formats.registry import HEAD_BYTES, content_type_of
from proxy.errors import NotFound, StoreRefused, StoreUnavailable, UnreadableFolders
from proxy.stores.base import NO_VERSION, UNKNOWN_TYPE, AlreadyThere, Attributes, Blob, BlobVersion
from proxy.stores.file.atomic import (
    Identity,
    chunks,
    disk_errors,
    file_kind,
    flush_folder,
    is_unchanged,
    locked,
    make_folder,
    move_into_place,
    open_plain,
    prune,
    written,
)
from proxy.stores.file.paths import locate, walk
from proxy.stores.file.sidecars import Sidecars
from proxy.stores.transfer import check_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from proxy.stores.ranges import ByteRange

HIDDEN: Final = "\x7fgallformers"
"""The folder of internal files; no key maps into it, because keys have no control characters."""

FIRST_BATCH, LIST_BATCH = 50, 500
"""How many keys are read at first, and at most: a page of pictures needs few, each perhaps in a folder of its own."""

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(microsecond=0, tzinfo=UTC)

TRIED_BYTES: Final = 64 * 1024
"""The size of the file that `check` writes; less than a large derivative."""


class FileStore:
    """A store that keeps blobs as plain files below `root`, safe for concurrent writers on one machine."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._temporary = self._root / HIDDEN / "temporary"
        self._sidecars = Sidecars(self._root / HIDDEN / "sidecars", self._temporary)
        self._is_started = False

    async def start(self) -> None:
        """Create the folders, and remove the temporary files of dead writers unless another writer is active."""
        await run_sync(self._start)

    async def head(self, key: str) -> Blob | None:
        """Return the blob under `key`, or None; see `Store.head`."""
        return await run_sync(self._head, key)

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        """Copy a blob to the local file `path`; see `Store.fetch`."""
        return await run_sync(self._fetch, key, path, max_bytes)

    @asynccontextmanager
    async def open(
        self, key: str, byte_range: ByteRange | None = None
    ) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
        """Yield a blob and its bytes in chunks; see `Store.open`."""
        file, blob = await run_sync(self._find, key)
        with file:
            if byte_range:
                byte_range.check(blob.etag)
            yield blob, _stream(file, byte_range)

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        """Store the file `path` under `key`; see `Store.put`."""
        return await run_sync(self._put, key, path, attributes)

    async def put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        """Store the file `path` unless `key` exists; see `Store.put_new`."""
        return await run_sync(self._put_new, key, path, attributes)

    async def copy(self, source: str, target: str) -> Blob:
        """Copy a blob from `source` to `target`; see `Store.copy`."""
        return await run_sync(self._copy, source, target)

    async def delete(self, key: str) -> None:
        """Delete the blob under `key`, and the folders that this empties; see `Store.delete`."""
        await run_sync(self._delete, key)

    async def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        """Yield the blobs under `prefix`; see `Store.list`. Their attributes are empty.

        Raises:
            UnreadableFolders: everything else was listed.
        """
        unreadable: list[str] = []
        found = walk(self._root, prefix, after=after, unreadable=unreadable)
        blobs = (_listed(key, status) for key, status in found)
        wanted = FIRST_BATCH
        while batch := await run_sync(_batch, blobs, wanted):
            for blob in batch:
                yield blob
            wanted = min(2 * wanted, LIST_BATCH)
        await run_sync(self._check_exists)  # the walk also ends if the root folder was removed
        if unreadable:
            raise UnreadableFolders(unreadable)

    async def versions(self, prefix: str) -> AsyncIterator[BlobVersion]:
        """Yield the blobs under `prefix`, each as its only version; see `Store.versions`."""
        async for blob in self.list(prefix):
            yield BlobVersion(key=blob.key, version=NO_VERSION, bytes=blob.bytes)

    async def delete_version(self, key: str, version: str) -> None:
        """Delete the blob under `key`, if `version` is its only one; see `Store.delete_version`."""
        if version == NO_VERSION:
            await self.delete(key)

    async def check(self) -> None:
        """Raise if no file can be written below the root.

        An empty file would prove nothing: it can be created on a full disk.
        """
        await run_sync(self._check)

    async def close(self) -> None:
        """Do nothing: no resources are held."""

    def _start(self) -> None:
        with disk_errors():
            self._check_internal()
            make_folder(self._temporary)
            self._is_started = True
            # Every writer holds this lock shared. Under the exclusive lock, all files here are left by dead writers.
            with suppress(TimeoutError), locked(self._writers, wait=False):
                for left in self._temporary.iterdir():
                    if stat.S_ISREG(file_kind(left) or 0):
                        left.unlink(missing_ok=True)

    def _check_internal(self) -> None:
        """Raise if an internal folder is a symbolic link: files outside the store would be written and removed."""
        for folder in (self._temporary, self._sidecars.folder, self._writers.parent):
            if os.path.realpath(folder) != str(folder):
                raise StoreRefused(
                    f"The file store does not use its internal folder {HIDDEN!a}: it, or {folder.name!r} in it, is a "
                    "symbolic link, which may lead outside. Remove the link from the folder of STORE."
                )

    @property
    def _writers(self) -> Path:
        return self._root / HIDDEN / "locks" / "writers"

    @contextmanager
    def _written(self, source: BinaryIO) -> Iterator[tuple[Path, Identity]]:
        self._check_exists()
        with locked(self._writers, shared=True), written(self._temporary, source) as result:
            yield result

    def _check(self) -> None:
        self._check_exists()
        with disk_errors(), self._written(BytesIO(bytes(TRIED_BYTES))):
            pass

    def _check_exists(self) -> None:
        """Raise if the store's folder is missing or was replaced.

        Without this check, the empty mount point of a missing disk would look like an empty store.
        """
        if not (self._temporary if self._is_started else self._root).is_dir():
            raise StoreUnavailable("The file store's folder is missing or was replaced: check STORE and its disk.")

    def _head(self, key: str) -> Blob | None:
        try:
            file, blob = self._find(key)
        except NotFound:
            self._check_exists()
            return None
        file.close()
        return blob

    def _fetch(self, key: str, path: Path, max_bytes: int) -> Blob:
        file, blob = self._find(key)
        with file:
            check_bytes(blob, max_bytes)
            try:
                with path.open("wb") as copy:
                    copy.writelines(chunks(file))
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        return blob

    def _find(self, key: str) -> tuple[BinaryIO, Blob]:
        path = locate(self._root, key)
        with disk_errors():
            while file := open_plain(path):
                identity = Identity.of(os.fstat(file.fileno()))
                attributes = self._sidecars.read(key, identity)
                if attributes is None and not is_unchanged(path, identity):
                    file.close()
                    continue  # the file and its sidecar were replaced before the sidecar was read
                return file, _blob(key, identity, attributes or _guess(file))
        raise NotFound(f"No file exists under the key {key!a}.")

    def _put(self, key: str, path: Path, attributes: Attributes, *, only_new: bool = False) -> Blob:
        with path.open("rb") as source:
            return self._keep(key, source, attributes, only_new=only_new)

    def _copy(self, source: str, target: str) -> Blob:
        file, blob = self._find(source)
        with file:
            return self._keep(target, file, blob.attributes)

    def _keep(self, key: str, source: BinaryIO, attributes: Attributes, *, only_new: bool = False) -> Blob:
        target = locate(self._root, key)
        with (
            disk_errors(),
            self._written(source) as (temporary, identity),
            self._sidecars.locked(key),
        ):
            current = _replaced(target, only_new=only_new)
            self._sidecars.write(key, identity, attributes, current=current)
            move_into_place(temporary, target, only_new=only_new)
        return _blob(key, identity, attributes)

    def _put_new(self, key: str, path: Path, attributes: Attributes) -> Blob | None:
        try:
            return self._put(key, path, attributes, only_new=True)
        except AlreadyThere:
            return None

    def _delete(self, key: str) -> None:
        target = locate(self._root, key)
        with disk_errors(), self._sidecars.locked(key):
            if stat.S_ISREG(file_kind(target) or 0):  # what is no blob was not made by a store
                with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    target.unlink()
                    flush_folder(target.parent)
                    prune(target.parent, self._root)
            self._sidecars.remove(key)


def _replaced(target: Path, *, only_new: bool) -> Identity | None:
    try:
        status = target.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise StoreRefused("The file store will not do it: a pipe, a socket or a device has the name of this key.")
    if only_new:
        raise AlreadyThere
    return Identity.of(status)


def _guess(file: BinaryIO) -> Attributes:
    start = file.read(HEAD_BYTES)
    file.seek(0)
    return Attributes(content_type=content_type_of(start) or UNKNOWN_TYPE)


def _blob(key: str, identity: Identity, attributes: Attributes) -> Blob:
    return Blob(
        key=key,
        bytes=identity.bytes,
        etag=f"{identity.mtime_ns:x}-{identity.bytes:x}-{identity.inode:x}",
        modified=_date(identity.mtime_ns // 1_000_000_000),
        attributes=attributes,
    )


def _listed(key: str, status: os.stat_result | None) -> Blob:
    """Return the blob of an entry; `status` is None if it cannot be read, which `head` then reports."""
    if status is None:
        return Blob(key=key, bytes=0, etag="", modified=datetime.now(UTC), attributes=Attributes())
    return _blob(key, Identity.of(status), Attributes())


def _date(seconds: int) -> datetime:
    """Return a time; one that `datetime` cannot represent, as some file systems store, becomes the nearest it can."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return _LATEST if seconds > 0 else _EARLIEST


async def _stream(file: BinaryIO, byte_range: ByteRange | None) -> AsyncIterator[bytes]:
    pieces = chunks(file, byte_range.first, byte_range.end) if byte_range else chunks(file)
    while piece := await run_sync(next, pieces, b""):
        yield piece


def _batch(blobs: Iterator[Blob], number: int) -> list[Blob]:
    with disk_errors():
        return [*islice(blobs, number)]
