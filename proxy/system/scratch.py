"""Folders for work in progress, which are gone when it is done, and after a crash at the next start."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir
from typing import TYPE_CHECKING

from anyio import CancelScope, to_thread

from proxy.errors import CannotStart, NoRoom, ProcessDied
from proxy.system import lockfiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Container, Iterator

    from proxy.concurrency.admission import Admission, Ticket


TRIED_BYTES = 64 * 1024
"""How much is written to find out whether anything can be: less than the least original that is worth its name."""

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""What of all that goes wrong around a folder is surely the disk's."""


def scratch_place() -> Path:
    """Name where the folders of this user's services lie, on the machine's disk for temporary files."""
    return Path(gettempdir(), f"gf-images-{os.getuid()}")


class ScratchSpace:
    """Lends folders below `place`, which services of one machine may share, as far as `room` for their files goes."""

    def __init__(self, place: Path, *, room: Admission) -> None:
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
            owner = lockfiles.acquire_process_lock(self._place / "owners")
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
    async def folder(self, size: int, ticket: Ticket) -> AsyncIterator[Path]:
        """Lend a folder for `size` bytes, once there is room; it goes with all that is in it, whatever happens.

        Raises:
            Busy: there was no room in time, or there will be none.
            NoRoom: the disk takes nothing more, which may also be what a render process died of.
        """
        parent = self.own_folder()
        with self._room.admit(ticket):
            async with self._room.reserve(ticket, size):
                with self._faults():
                    folder = await to_thread.run_sync(lambda: TemporaryDirectory(dir=parent))
                try:
                    with self._faults(_OF_THE_DISK):
                        yield Path(folder.name)
                except ProcessDied:
                    await self.check()  # before the folder goes: it may have died because there was no room
                    raise
                finally:
                    with CancelScope(shield=True):
                        await to_thread.run_sync(folder.cleanup)

    async def check(self) -> None:
        """Return when something can be written.

        Raises:
            NoRoom: it cannot, the sentence is for the operator.
        """
        parent = self.own_folder()
        with self._faults():
            await to_thread.run_sync(_write_something, parent)

    def own_folder(self) -> Path:
        """Name the folder of this process, which goes with all that is in it, however the process ends."""
        if self._folder is None:
            raise RuntimeError("Folders are lent within `opened`.")
        return self._folder

    @contextmanager
    def _faults(self, kinds: Container[int | None] | None = None) -> Iterator[None]:
        """Turn what the system says within the block into our error: all of it, or what is of these kinds."""
        try:
            yield
        except OSError as fault:
            if kinds is not None and fault.errno not in kinds:
                raise
            raise NoRoom(
                f"Nothing more can be written to {self._place} ({fault.strerror}): free some space there, or set "
                "TMPDIR to another folder and start again."
            ) from fault

    def _remove_what_the_dead_left(self) -> None:
        for left in (self._place / "work").iterdir():
            if not lockfiles.is_alive(self._place / "owners", left.name):
                shutil.rmtree(left, ignore_errors=True)
        lockfiles.remove_stale(self._place / "owners")


def _write_something(folder: Path) -> None:
    with TemporaryFile(dir=folder) as file:
        file.write(bytes(TRIED_BYTES))
        file.flush()
