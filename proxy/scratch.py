"""Folders for work in progress, which are gone when it is done, and after a crash at the next start."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING

from anyio import to_thread

from proxy import owners
from proxy.errors import CannotStart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from proxy.limiter import Limiter, Turn


_WARM_UP_SECONDS = 60
"""A render process that has not removed its first folder after that long is dead; it takes a fraction of a second."""


def scratch_place() -> Path:
    """Name where the folders of this user's services lie, on the machine's disk for temporary files."""
    return Path(gettempdir(), f"gf-images-{os.getuid()}")


class Scratch:
    """Lends folders below `place`, which services of one machine may share, as far as `room` for their files goes."""

    def __init__(self, place: Path, *, room: Limiter) -> None:
        self._place = place
        self._room = room
        self._folder: Path | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Have folders to lend as long as the block lasts; what the dead have left is removed first.

        Raises:
            CannotStart: nothing can be written there.
        """
        try:
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = owners.claim(self._place / "owners")
            self._folder = self._place / "work" / owner.name
            self._folder.mkdir(parents=True)
        except OSError as fault:
            raise CannotStart(
                f"Nothing can be written to {self._place} ({fault.strerror}); set TMPDIR to a folder where it can."
            ) from fault
        try:
            self._remove_what_the_dead_left()
            yield
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            owner.release()

    @asynccontextmanager
    async def folder(self, size: int, turn: Turn) -> AsyncIterator[Path]:
        """Lend a folder for `size` bytes, once there is room; it goes with all that is in it, whatever happens.

        Raises:
            Busy: there was no room in time.
        """
        if self._folder is None:
            raise RuntimeError("Folders are lent within `opened`.")
        parent = self._folder
        async with self._room.share(turn, size):
            folder = await to_thread.run_sync(lambda: TemporaryDirectory(dir=parent))
            try:
                yield Path(folder.name)
            finally:
                folder.cleanup()

    def _remove_what_the_dead_left(self) -> None:
        for left in (self._place / "work").iterdir():
            if not owners.is_alive(self._place / "owners", left.name):
                shutil.rmtree(left, ignore_errors=True)
        for left in self._place.glob("warm-up-*"):
            with suppress(FileNotFoundError):  # its render process was alive after all, and has removed it
                if time.time() - left.stat().st_mtime > _WARM_UP_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        owners.bury(self._place / "owners")
