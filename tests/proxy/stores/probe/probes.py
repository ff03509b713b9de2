"""A store on which a probe fails on request, and the outcome of a probe that a test decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import StoreRefused
from proxy.stores.memory import MemoryStore
from proxy.stores.probe.write_probe import ProbeResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.errors import ImagesError
    from proxy.stores.base import Attributes, Blob, BlobVersion

REFUSED = ProbeResult(
    fault=StoreRefused("The bucket rejected the request.", brief="AccessDenied (403)"), is_for_all=True
)


class FailingStore(MemoryStore):
    """A store in memory whose calls raise the error that `faults` has for them."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, ImagesError] = {}
        self.calls: list[str] = []

    def _call(self, operation: str) -> None:
        self.calls.append(operation)
        if fault := self.faults.get(operation):
            raise fault

    async def head(self, key: str) -> Blob | None:
        self._call("head")
        return await super().head(key)

    async def put(self, key: str, path: Path, attributes: Attributes) -> Blob:
        self._call("put")
        return await super().put(key, path, attributes)

    async def fetch(self, key: str, path: Path, *, max_bytes: int) -> Blob:
        self._call("fetch")
        return await super().fetch(key, path, max_bytes=max_bytes)

    async def delete(self, key: str) -> None:
        self._call("delete")
        await super().delete(key)

    async def list(self, prefix: str = "", *, after: str = "") -> AsyncIterator[Blob]:
        self._call("list")
        async for one in super().list(prefix, after=after):
            yield one

    async def versions(self, prefix: str) -> AsyncIterator[BlobVersion]:
        self._call("versions")
        async for one in super().versions(prefix):
            yield one


class DecidedProbe:
    """A probe whose outcome is `result`; it counts its runs, and whether they wrote."""

    def __init__(self) -> None:
        self.result = ProbeResult()
        self.runs: list[bool] = []

    async def __call__(self, *, writes: bool) -> ProbeResult:
        """Return the outcome."""
        self.runs.append(writes)
        return self.result
