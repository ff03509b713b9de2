"""Sources of originals for a run: a listing or a file, read one key at a time, or a sample of them in memory."""

from __future__ import annotations

import heapq
import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

import msgspec
from anyio import open_file

from proxy.bulk.options import BadOption
from proxy.errors import UnreadableFolders
from proxy.keys.layouts import is_original

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from proxy.keys.layouts import Layout
    from proxy.stores.base import Blob

LONGEST_LINE_BYTES = 1 << 16
"""Maximum bytes of a line in a file of failures: a key has up to 1,024 bytes, an error message a few hundred."""


class Originals(Protocol):
    """Originals in a stable order."""

    def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Yield the keys; with `after`, only those that follow it."""
        ...


class Listing(Protocol):
    """Anything that lists blobs: a store, or a side of a comparison."""

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Blob]:
        """Yield the blobs whose keys begin with `prefix`; with `after`, only those that follow it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedOriginals:
    """The originals of a store whose keys begin with one of `prefixes` and that changed at `since` or later.

    The prefixes are in the order of the store, and none begins with another one.
    """

    store: Listing
    layout: Layout
    prefixes: tuple[str, ...] = ("",)
    since: datetime | None = None

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Yield the keys in the order of the store; see `Originals`."""
        since = self.since and self.since.replace(microsecond=0)  # the resolution of stores is one second
        unreadable: list[str] = []
        for prefix in self.prefixes:
            try:
                async for blob in self.store.list(prefix, after=after):
                    if is_original(self.layout, blob.key) and (since is None or blob.modified >= since):
                        yield blob.key
            except UnreadableFolders as fault:  # it has listed everything else below this prefix
                unreadable += fault.folders
        if unreadable:
            raise UnreadableFolders(unreadable)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOriginals:
    """The originals that a file lists, one key per line, and whose keys begin with one of `prefixes`."""

    path: Path
    layout: Layout
    prefixes: tuple[str, ...] = ("",)

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Yield the keys in the order of the file; with `after`, those that follow it, or none if it is not there."""
        is_behind = not after
        try:
            async with await open_file(self.path, encoding="utf-8") as file:
                async for line in file:
                    key = line.rstrip("\r\n")
                    if is_behind and key.startswith(self.prefixes) and is_original(self.layout, key):
                        yield key
                    is_behind = is_behind or key == after
        except (OSError, UnicodeDecodeError) as fault:
            raise BadOption(
                f"--originals: cannot read {self.path} ({fault}). Use a file of UTF-8 text with one key per line."
            ) from fault


class FailedOriginal(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a file of failures: the key, the error code and the error message."""

    key: str
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedOriginals:
    """The originals that a file of failures lists and whose keys begin with one of `prefixes`."""

    path: Path
    prefixes: tuple[str, ...] = ("",)

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Yield the keys in the order of the file; with `after`, those that follow it, or all if it is not there."""
        is_behind = not after or after not in {key async for key in failed_keys(self.path) if key == after}
        async for key in failed_keys(self.path):
            if is_behind and key.startswith(self.prefixes):
                yield key
            is_behind = is_behind or key == after


def append_failure(path: Path, failure: FailedOriginal) -> None:
    """Append a failure durably; an incomplete line left by a crash is removed first."""
    with path.open("a+b") as file:
        file.truncate(_whole_lines_bytes(path))
        file.write(msgspec.json.encode(failure) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _whole_lines_bytes(path: Path) -> int:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LONGEST_LINE_BYTES))
        return file.tell() + file.read().rfind(b"\n") + 1


async def failed_keys(path: Path) -> AsyncIterator[str]:
    """Yield the keys of a file of failures, each once.

    Raises:
        BadOption: the file cannot be read, or a line is not a failure.
    """
    number, seen = 0, set[str]()
    try:
        async with await open_file(path, "rb") as file:
            async for line in file:
                number += 1
                failure = _parse_failure(line)
                if failure and failure.key not in seen:
                    seen.add(failure.key)
                    yield failure.key
    except OSError as fault:
        raise BadOption(f"--retry-failed: cannot read {path} ({fault.strerror}). Use a readable file.") from fault
    except msgspec.DecodeError as fault:
        raise BadOption(
            f"--retry-failed: line {number} of {path} is not a failed original ({fault}). "
            "Use a file failures-….jsonl that a run has written."
        ) from fault


def _parse_failure(line: bytes) -> FailedOriginal | None:
    """Return the failure of a line, or None for an incomplete last line left by a crash: its original is not done."""
    try:
        return msgspec.json.decode(line, type=FailedOriginal)
    except msgspec.DecodeError:
        if line.endswith(b"\n"):
            raise
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledOriginals:
    """A sample of originals, held in memory; `fault` is raised at the end of a walk."""

    chosen: tuple[str, ...]
    fault: UnreadableFolders | None = None

    async def walk(self, *, after: str = "") -> AsyncIterator[str]:
        """Yield the keys in their order; with `after`, only those that follow it."""
        for key in self.chosen:
            if key > after:
                yield key
        if self.fault:
            raise self.fault.with_traceback(None)


async def sample(originals: Originals, number: int, *, seed: int) -> SampledOriginals:
    """Return a random sample of `number` originals; a seed always selects the same ones, whatever their order."""
    least: list[tuple[int, str]] = []  # a heap of negated draws: its first entry is the largest one kept
    unreadable: UnreadableFolders | None = None
    try:
        async for key in originals.walk():
            drawn = int.from_bytes(blake2b(f"{seed} {key}".encode(), digest_size=8).digest(), "big")
            if len(least) < number:
                heapq.heappush(least, (-drawn, key))
            else:
                heapq.heappushpop(least, (-drawn, key))
    except UnreadableFolders as fault:
        unreadable = fault
    return SampledOriginals(chosen=tuple(sorted(key for _, key in least)), fault=unreadable)


async def count(originals: Originals, *, after: str = "") -> int:
    """Count the originals in a separate walk; with `after`, only those that follow it."""
    number = 0
    with suppress(UnreadableFolders):
        async for _ in originals.walk(after=after):
            number += 1
    return number


class Walk:
    """A walk that can continue after an error, from the last key that it returned."""

    def __init__(self, originals: Originals, *, after: str = "") -> None:
        self._originals = originals
        self._last = after
        self._keys: AsyncIterator[str] | None = None

    async def next(self) -> str | None:
        """Return the next key, or None at the end; after an error, the next call continues the walk."""
        self._keys = self._keys or self._originals.walk(after=self._last)
        try:
            key = await anext(self._keys, None)
        except BaseException:
            self._keys = None
            raise
        self._last = key or self._last
        return key
