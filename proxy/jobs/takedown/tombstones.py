"""Tombstones: originals that were taken down, which nothing may bring back but a later signed post or upload.

A tombstone is stored in the queue, where every process and machine finds it, before a takedown removes anything. A
writer that finds none either writes before the takedown lists the store, or finds the tombstone when it checks again
after its write, and then deletes what it wrote.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from proxy.errors import Busy, OrderTakenDown, QueueUnavailable
from proxy.jobs.live_jobs import is_live
from proxy.system.failpoints import reached

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.errors import ImagesError
    from proxy.queues.base import JobQueue

log = structlog.get_logger(__name__)

TOMBSTONE_SECONDS: Final = 30 * 86_400.0
"""How long a tombstone is kept."""

VIEW_SECONDS: Final = 4.0
"""How long a render waits for the queue, on which page views do not depend otherwise: as long as for the store."""

RUNNING_SECONDS: Final = 5
"""When a post may be sent again while its original is being taken down."""


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """When a takedown was requested, by the clock of its sender in whole seconds, and the id of its job."""

    at: int
    job_id: str


class Tombstones:
    """The tombstones of originals in a queue."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    async def add(self, key: str, tombstone: Tombstone) -> None:
        """Store a tombstone for 30 days, in place of an earlier one of the same original."""
        await self._queue.overwrite(_name(key), _stored(tombstone), seconds=TOMBSTONE_SECONDS)
        reached("tombstone-stored", key)

    async def remove(self, key: str, tombstone: Tombstone) -> None:
        """Remove a tombstone, unless a later takedown has replaced it."""
        await self._queue.forget(_name(key), value=_stored(tombstone))

    async def find(self, key: str) -> Tombstone | None:
        """Return the tombstone of an original, or None.

        Raises:
            QueueUnavailable: the queue cannot be read.
        """
        stored = await self._queue.recall(_name(key))
        return None if stored is None else msgspec.json.decode(stored, type=Tombstone)

    async def find_all(self, keys: Iterable[str]) -> dict[str, Tombstone]:
        """Return the tombstones of those originals that have one."""
        asked = list(keys)
        found = await asyncio.gather(*map(self.find, asked))
        return {key: one for key, one in zip(asked, found, strict=True) if one}

    async def is_taken_down(self, key: str) -> bool:
        """Return whether an original has a tombstone.

        Raises:
            QueueUnavailable: the queue cannot be read.
        """
        return await self.find(key) is not None

    async def is_known_taken_down(self, key: str) -> bool:
        """Return the same, but False if the queue does not respond: page views do not depend on it."""
        try:
            async with asyncio.timeout(VIEW_SECONDS):
                return await self.is_taken_down(key)
        except (QueueUnavailable, TimeoutError):
            log.debug("tombstone_unread", key=key)
            return False

    async def end(self, key: str, tombstone: Tombstone, *, posted_at: int | None) -> ImagesError | None:
        """End a tombstone for a post that was signed later than the takedown; return why not, if it is not."""
        if refusal := await self._refusal(key, tombstone, posted_at=posted_at):
            return refusal
        await self.remove(key, tombstone)
        log.info("tombstone_ended", key=key, takedown_id=tombstone.job_id)
        return None

    async def raise_if_refused(self, key: str, *, posted_at: int) -> None:
        """Raise if an original has a tombstone that a post of that time could not end now.

        Raises:
            OrderTakenDown, Busy: why not.
        """
        tombstone = await self.find(key)
        if tombstone and (refusal := await self._refusal(key, tombstone, posted_at=posted_at)):
            raise refusal

    async def _refusal(self, key: str, tombstone: Tombstone, *, posted_at: int | None) -> ImagesError | None:
        """Return why a post cannot end a tombstone now, or None.

        `posted_at` is in seconds since the epoch; None stands for what never ends a tombstone, such as a bucket event.
        The post has to wait while the takedown runs, or if it was signed within the same second.
        """
        if posted_at is None or posted_at < tombstone.at:
            return OrderTakenDown(key)
        if is_live(await self._queue.job(tombstone.job_id)):
            return Busy(
                "The original is being taken down; upload it again and repeat the request when that has ended.",
                retry_after_seconds=RUNNING_SECONDS,
            )
        if posted_at == tombstone.at:
            return Busy("The original was taken down in this second; try again in a second.", retry_after_seconds=1)
        return None


def _name(key: str) -> str:
    return f"tombstone:{hashlib.sha256(key.encode()).hexdigest()}"


def _stored(tombstone: Tombstone) -> str:
    return msgspec.json.encode(tombstone).decode()
