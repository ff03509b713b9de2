"""The step that fetches all sizes of an original from both sides and compares them."""

from __future__ import annotations

import asyncio
import filecmp
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
from anyio.to_thread import run_sync

from pipeline.protocol import Compare
from proxy.bulk.compare.causes import causes
from proxy.bulk.compare.findings import ComparedOriginal, Copy, Finding, Pair, identity
from proxy.errors import BadKey, RenderFailed, StoreRefused, TooManyBytes

if TYPE_CHECKING:
    from proxy.bulk.compare.causes import Tolerance
    from proxy.bulk.compare.compare_pool import ComparePool
    from proxy.bulk.compare.sides import Side
    from proxy.keys.layouts import Layout
    from proxy.stores.base import Blob

_OF_ONE = (RenderFailed, StoreRefused, TooManyBytes)
"""Errors that affect only one pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ComparedSize:
    """The outcome of one size: no finding if both sides are alike or neither has it (`pair` is None)."""

    pair: Pair | None
    finding: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparer:
    """A step that compares the derivatives of an original; small copies of different ones go to `pictures`."""

    old: Side
    new: Side
    layout: Layout
    sizes: tuple[str, ...]
    tolerance: Tolerance
    processes: ComparePool
    work_folder: Path
    pictures: Path

    async def compare(self, original: str) -> ComparedOriginal:
        """Return the outcome of an original.

        Raises:
            StoreUnavailable: a store failed; the original is not the cause.
        """
        existing = self.layout.sizes_of(original)
        by_size = {size: await self._compare_size(original, size) for size in self.sizes if size in existing}
        compared = by_size.values()
        findings = tuple(one.finding for one in compared if one.finding)
        absent = sum(one.pair is None for one in compared)
        return ComparedOriginal(
            key=original,
            alike=len(compared) - len(findings) - absent,
            absent=absent,
            findings=findings,
            identities=tuple(_identity(by_size.get(size)) for size in self.sizes),
        )

    async def _compare_size(self, original: str, size: str) -> _ComparedSize:
        try:
            key = self.layout.derivative(original, size)
        except BadKey as fault:
            return self._found(original, size, Pair(old=None, new=None, trouble=str(fault)))
        with TemporaryDirectory(dir=self.work_folder) as folder:
            try:
                pair = await self._pair(key, Path(folder))
            except _OF_ONE as fault:
                pair = Pair(old=None, new=None, trouble=str(fault))
            if pair is None or not causes(pair, self.tolerance):
                return _ComparedSize(pair=pair)
            await run_sync(self._keep, pair, key, Path(folder))
        return self._found(original, size, _renamed(pair, key))

    def _found(self, original: str, size: str, pair: Pair) -> _ComparedSize:
        finding = Finding(key=original, size=size, causes=causes(pair, self.tolerance), pair=pair)
        return _ComparedSize(pair=pair, finding=finding)

    async def _pair(self, key: str, folder: Path) -> Pair | None:
        """Compare the files of both sides; return None if neither exists."""
        paths = folder / "of-old", folder / "of-new"
        blobs = await asyncio.gather(self.old.fetch(key, paths[0]), self.new.fetch(key, paths[1]))
        old, new = (_copy(blob, side) if blob else None for blob, side in zip(blobs, (self.old, self.new), strict=True))
        if not old and not new:
            return None
        is_same = bool(old and new) and await run_sync(filecmp.cmp, *paths, False)  # noqa: FBT003 - shallow, by position
        pair = Pair(old=old, new=new, is_same_bytes=is_same, identity=identity(blobs[1]) if blobs[1] else "")
        if is_same and not causes(pair, self.tolerance):
            return pair
        return await self._measured(pair, paths, folder)

    async def _measured(self, pair: Pair, paths: tuple[Path, Path], folder: Path) -> Pair:
        old, new = (str(path) if copy else None for path, copy in zip(paths, (pair.old, pair.new), strict=True))
        try:
            compared = await self.processes.compare(Compare(folder=str(folder), old=old, new=new))
        except RenderFailed as fault:
            return msgspec.structs.replace(pair, trouble=str(fault))
        return msgspec.structs.replace(
            pair,
            old=pair.old and msgspec.structs.replace(pair.old, seen=compared.old),
            new=pair.new and msgspec.structs.replace(pair.new, seen=compared.new),
            likeness=compared.likeness,
            pictures=compared.pictures,
        )

    def _keep(self, pair: Pair, key: str, folder: Path) -> None:
        for name, file in pair.pictures.items():
            Path(folder, file).replace(self.pictures / _name(key, name))


def _identity(one: _ComparedSize | None) -> str:
    return one.pair.identity if one and one.pair else ""


def _copy(blob: Blob, side: Side) -> Copy:
    attributes = blob.attributes
    return Copy(
        bytes=blob.bytes,
        content_type=attributes.content_type,
        cache_control=attributes.cache_control,
        has_headers=side.has_headers,
    )


def _renamed(pair: Pair, key: str) -> Pair:
    return msgspec.structs.replace(pair, pictures={name: _name(key, name) for name in pair.pictures})


def _name(key: str, picture: str) -> str:
    """Return the file name of a small copy; it is stable, so a resumed run overwrites the files of a killed one."""
    return f"{blake2b(key.encode(), digest_size=10).hexdigest()}-{picture}.webp"
