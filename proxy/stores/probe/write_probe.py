"""The write probe: a small blob that is written, read back, read where browsers read it, and deleted."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import structlog
from anyio.to_thread import run_sync

from proxy.errors import ImagesError, NotFound, StoreDenied, StoreError, StoreRefused, StoreUnavailable, Untrusted
from proxy.stores.base import Attributes
from proxy.stores.certificates import with_issuer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.stores.base import Store

log = structlog.get_logger(__name__)

PROBE_SECONDS: Final = 20.0
"""The timeout of a probe; a store that rejects it does so within a second."""

READ_WAITS_SECONDS: Final = (0.2, 0.6, 1.5)
"""The waits before the next read of a blob that does not show yet: stores and caches may lag."""

MAX_BYTES: Final = 4096
"""How much of a blob under the key of the probe is read."""

_START: Final = b"gallformers-images write probe "
_ATTRIBUTES: Final = Attributes(content_type="text/plain", cache_control="no-store")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """The outcome of a probe; `fault` is None if the store works.

    `is_for_all` means that no original can be read or no derivative written, so every job would fail. A bucket that is
    only not public does not fail them.
    """

    fault: StoreError | None = None
    is_for_all: bool = False


class WriteProbe:
    """A probe of `store` that writes random content under the one key `key`.

    With `read_public`, which returns the bytes that browsers get, the blob is read that way too. Other processes may
    probe the same key at the same time, so the content of another probe counts as well.
    """

    def __init__(self, store: Store, *, key: str, read_public: Callable[[], Awaitable[bytes]] | None = None) -> None:
        self._store = store
        self._key = key
        self._read_public = read_public
        self._is_public_pending = False

    async def run(self, *, writes: bool = True) -> ProbeResult:
        """Write and read the blob once, and return the outcome.

        While only the public read fails, the blob stays, and without `writes` it is not written again: in a versioned
        bucket, each write is kept.
        """
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                if writes or not self._is_public_pending or await self._is_deleted():
                    self._is_public_pending = False
                    if result := await self._write_and_read():
                        return result
                if self._read_public and (fault := await self._public_fault(self._read_public)):
                    return ProbeResult(fault=fault)
                with suppress(StoreError):  # credentials that may only put are fine
                    await self._store.delete(self._key)
        except TimeoutError:
            late = StoreUnavailable(f"The store did not finish the write probe within {PROBE_SECONDS:g} s.")
            return ProbeResult(fault=late, is_for_all=not self._is_public_pending)
        self._is_public_pending = False
        return ProbeResult()

    async def _write_and_read(self) -> ProbeResult | None:
        try:
            await self._store.check()  # before a write, for which some servers create a bucket that is missing
            await self._write()
        except StoreDenied as denied:
            return ProbeResult(fault=await self._denial(denied), is_for_all=True)
        except StoreError as error:
            return ProbeResult(fault=await _complete(error), is_for_all=True)
        try:
            try:
                await self._read()
            except NotFound:  # another process that probes may just have deleted it
                await self._write()
                await _retried(self._read)
        except StoreDenied as denied:
            return ProbeResult(fault=_put_only(denied), is_for_all=True)
        except StoreError as error:
            return ProbeResult(fault=await _complete(error), is_for_all=True)
        except NotFound:
            return ProbeResult(fault=_not_found())
        self._is_public_pending = self._read_public is not None
        return None

    async def _is_deleted(self) -> bool:
        """Return whether the blob that was written is gone; another process that probes may delete it."""
        try:
            return await self._store.head(self._key) is None
        except StoreError:
            return True  # writing it again has the reason

    async def _write(self) -> None:
        with TemporaryDirectory(prefix="probe-") as folder:
            path = await run_sync(_new_content, folder)
            await self._store.put(self._key, path, _ATTRIBUTES)

    async def _read(self) -> None:
        with TemporaryDirectory(prefix="probe-") as folder:
            path = Path(folder, "probe")  # originals are fetched in the same way
            await self._store.fetch(self._key, path, max_bytes=MAX_BYTES)
            body = await run_sync(path.read_bytes)
        if not body.startswith(_START):
            raise StoreRefused(
                "The store does not return the content that was just written: is it another bucket or folder?",
                brief="the content that was written does not come back",
            )

    async def _denial(self, denied: StoreDenied) -> StoreDenied:
        """Return the error for credentials that may not write: they may be read-only."""
        try:
            await self._store.head(self._key)
        except ImagesError:
            return denied
        return StoreDenied(
            f"The credentials are read-only: the policy must allow s3:PutObject for {self._key!r} and all derivatives. "
            f"{denied}",
            brief=f"read-only: {denied.brief}",
        )

    async def _public_fault(self, read_public: Callable[[], Awaitable[bytes]]) -> StoreError | None:
        async def read() -> None:
            if not (await read_public()).startswith(_START):
                raise NotFound("The public URL returns other content.")

        try:
            await _retried(read)
        except NotFound:  # a cache may keep what was there before, whatever its headers are, so this is not sure
            log.warning(
                "public_url_differs",
                detail="PUBLIC_BASE_URL returns other content than was just written. If it is not a cache of the "
                "store, browsers get no derivatives: correct it.",
            )
        except StoreError as error:
            return await _complete(error)
        return None


def _new_content(folder: str) -> Path:
    path = Path(folder, "probe")
    path.write_bytes(_START + secrets.token_hex(16).encode())
    return path


async def _retried(read: Callable[[], Awaitable[None]]) -> None:
    """Run `read`, and again after each of `READ_WAITS_SECONDS` while the blob does not show."""
    for seconds in READ_WAITS_SECONDS:
        try:
            return await read()
        except (NotFound, StoreRefused) as error:
            if isinstance(error, StoreDenied | Untrusted):
                raise
            await asyncio.sleep(seconds)
    return await read()


async def _complete(error: StoreError) -> StoreError:
    return await with_issuer(error) if isinstance(error, Untrusted) else error


def _put_only(denied: StoreDenied) -> StoreDenied:
    return StoreDenied(
        "The credentials can write but not read: set ORIGINALS_BASE_URL to the public URL of the originals, or allow "
        f"s3:GetObject. {denied}",
        brief=f"put-only, without ORIGINALS_BASE_URL: {denied.brief}",
    )


def _not_found() -> StoreRefused:
    return StoreRefused(
        "What was just written is not found: if ORIGINALS_BASE_URL is set, it must be a public URL of the same bucket, "
        "where everyone may read.",
        brief="what was written is not found",
    )
