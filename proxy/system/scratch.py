"""Scratch folders, removed when the work in them ends or, after a crash, at the next start."""

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
"""The size of the file that `check` writes: less than the smallest original to be expected."""

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""The error numbers that only the disk can cause."""


def scratch_place() -> Path:
    """Return the folder for the scratch files of this user's services, under the machine's temporary folder."""
    return Path(gettempdir(), f"gf-images-{os.getuid()}")


class ScratchSpace:
    """Scratch folders under `place`, which services on one machine may share; `room` limits the bytes in them."""

    def __init__(self, place: Path, *, room: Admission) -> None:
        self._place = place
        self._room = room
        self._folder: Path | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold this process's folder within the block, after removing the folders of dead processes.

        Raises:
            CannotStart: nothing can be written to `place`.
        """
        try:
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = lockfiles.acquire_process_lock(self._place / "owners")
            self._folder = self._place / "work" / owner.name
            self._folder.mkdir(parents=True)
        except OSError as fault:
            raise CannotStart(
                f"{self._place} is not writable ({fault.strerror}); set TMPDIR to a writable folder."
            ) from fault
        try:
            self._remove_what_the_dead_left()
            yield
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            owner.release()

    @asynccontextmanager
    async def folder(self, size: int, ticket: Ticket) -> AsyncIterator[Path]:
        """Yield an empty folder once `size` bytes are reserved; it is removed at the end of the block.

        Raises:
            Busy: the reservation timed out, or would time out.
            NoRoom: the disk is full or fails, which may also be why a render process died.
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
                    await self.check()  # before the folder is removed: a full disk may be why the process died
                    raise
                finally:
                    with CancelScope(shield=True):
                        await to_thread.run_sync(folder.cleanup)

    async def check(self) -> None:
        """Raise if nothing can be written to this process's folder.

        Raises:
            NoRoom: the write failed; the message is for the operator.
        """
        parent = self.own_folder()
        with self._faults():
            await to_thread.run_sync(_write_something, parent)

    def own_folder(self) -> Path:
        """Return the folder of this process.

        It is removed with its content at the end of `opened` or, after a crash, when the next service opens `place`.

        Raises:
            RuntimeError: the call is outside `opened`.
        """
        if self._folder is None:
            raise RuntimeError("Scratch folders exist only within `opened`.")
        return self._folder

    @contextmanager
    def _faults(self, kinds: Container[int | None] | None = None) -> Iterator[None]:
        """Translate an `OSError` within the block to `NoRoom`: any, or only those with an `errno` in `kinds`."""
        try:
            yield
        except OSError as fault:
            if kinds is not None and fault.errno not in kinds:
                raise
            raise NoRoom(
                f"{self._place} cannot be written to ({fault.strerror}): free some space, or set TMPDIR to another "
                "folder and restart the service."
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
