"""Scratch folders, removed when the work in them ends or, after a crash, at the next start."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir
from typing import TYPE_CHECKING, Final

import structlog
from anyio import to_thread

from proxy.errors import CannotStart, NoRoom, ProcessDied, UnexpectedError
from proxy.system.private_folders import UnsafeFolder
from proxy.system.process_folder import ProcessFolder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Container, Iterator

    from proxy.concurrency.admission import Admission, Reservation, Ticket

log = structlog.get_logger(__name__)

TRIED_BYTES = 64 * 1024
"""The size of the file that `check` writes: less than the smallest original to be expected."""

_ANOTHER_FOLDER: Final = "Remove it if it is yours, or set TMPDIR to a folder that no other user can write to."

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""The error numbers that only the disk can cause."""


_FALLBACK: Final = Path("/tmp")  # noqa: S108 - named in the message that ends the start: it cannot be written either


def temporary_folder() -> Path:
    """Return the folder that TMPDIR names, usable or not, or else the machine's folder for temporary files."""
    named = os.environ.get("TMPDIR")
    if named:  # `gettempdir` would silently use another folder if this one is unusable
        return Path(named).absolute()
    try:
        return Path(gettempdir())
    except FileNotFoundError:
        return _FALLBACK


def scratch_place() -> Path:
    """Return the folder for the scratch files of this user's services, under the folder for temporary files."""
    return temporary_folder() / f"gf-images-{os.getuid()}"


class ScratchSpace:
    """Scratch folders under `place`, which services on one machine may share; `room` limits the bytes in them."""

    def __init__(self, place: Path, *, room: Admission) -> None:
        self._place = place
        self._room = room
        self._own: ProcessFolder | None = None
        self._reservations: dict[Path, Reservation] = {}

    @property
    def room_bytes(self) -> int:
        """How many bytes all folders together may hold."""
        return self._room.budget_bytes

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold this process's folder within the block, after removing the folders of dead processes.

        Raises:
            CannotStart: `place` is not writable, or other users may have created it or can change it.
        """
        own = ProcessFolder(self._place)
        try:
            try:
                own.create()
                own.remove_dead()
            except OSError as fault:
                raise CannotStart(_unusable(self._place, fault)) from fault
            self._own = own
            yield
        finally:
            own.remove()

    @asynccontextmanager
    async def folder(self, size: int, ticket: Ticket) -> AsyncIterator[Path]:
        """Yield an empty folder once `size` bytes are reserved; it is removed at the end of the block.

        A cancellation, even a second one, neither leaves the folder behind nor ends its removal: anyio's shield holds
        off only cancellations by its own scopes, not `Task.cancel`.

        Raises:
            Busy: the reservation timed out, or would time out.
            NoRoom: the disk is full or fails, which may also be why a render process died or failed.
        """
        parent = self.own_folder()
        with self._room.admit(ticket):
            async with self._room.reserve(ticket, size) as reservation:
                with self._faults():
                    folder = await _create_folder(parent)
                try:
                    with self._faults(_OF_THE_DISK), self._shrinkable(Path(folder.name), reservation):
                        yield Path(folder.name)
                except (ProcessDied, UnexpectedError):
                    await self.check()  # before the folder is removed: a full disk may be the cause
                    raise
                finally:
                    await asyncio.shield(asyncio.create_task(to_thread.run_sync(folder.cleanup)))

    def shrink(self, folder: Path, size: int) -> None:
        """Give back what a folder of `folder` has reserved beyond `size` bytes."""
        self._room.shrink(self._reservations[folder], size)

    @contextmanager
    def _shrinkable(self, folder: Path, reservation: Reservation) -> Iterator[None]:
        self._reservations[folder] = reservation
        try:
            yield
        finally:
            del self._reservations[folder]

    async def check(self) -> None:
        """Raise if it is not possible to write to this process's folder.

        Raises:
            NoRoom: the write failed; the message is for the operator.
        """
        parent = self.own_folder()
        with self._faults():
            await to_thread.run_sync(_write_something, parent)

    def own_folder(self) -> Path:
        """Return the folder of this process; if it was removed or replaced, create it again.

        It is removed with its content at the end of `opened` or, after a crash, when the next service opens `place`.

        Raises:
            NoRoom: it was lost and cannot be created again.
            RuntimeError: the call is outside `opened`.
        """
        if self._own is None:
            raise RuntimeError("Scratch folders exist only within `opened`.")
        with self._faults():
            if self._own.is_lost():
                log.warning("scratch_folder_lost", folder=str(self._own.path))
                self._own.create()
        return self._own.path

    @contextmanager
    def _faults(self, kinds: Container[int | None] | None = None) -> Iterator[None]:
        """Translate an `OSError` within the block to `NoRoom`: any, or only those with an `errno` in `kinds`."""
        try:
            yield
        except OSError as fault:
            if kinds is not None and fault.errno not in kinds:
                raise
            raise NoRoom(_lost(self._place, fault)) from fault


def scratch_budget(place: Path, *, least_bytes: int) -> int:
    """Return how many bytes originals in progress may use at `place`: half of what is free, at least `least_bytes`.

    The other half is for their derivatives, which are smaller, and for other users of the disk. `place` need not exist
    or be accessible: opening the scratch space reports that.
    """
    for folder in (place, *place.parents):
        with suppress(OSError):
            return max(least_bytes, shutil.disk_usage(folder).free // 2)
    return least_bytes


async def _create_folder(parent: Path) -> TemporaryDirectory[str]:
    """Create an empty folder in a thread; if the caller is cancelled meanwhile, remove it once it exists."""
    creating = asyncio.create_task(to_thread.run_sync(lambda: TemporaryDirectory(dir=parent)))
    try:
        return await asyncio.shield(creating)
    except asyncio.CancelledError:
        creating.add_done_callback(_remove_folder)
        raise


def _remove_folder(creating: asyncio.Task[TemporaryDirectory[str]]) -> None:
    if not creating.cancelled() and not creating.exception():
        creating.result().cleanup()


def _unusable(place: Path, fault: OSError) -> str:
    if isinstance(fault, UnsafeFolder):
        return f"TMPDIR: the scratch folder is not safe to use: {fault}. {_ANOTHER_FOLDER}"
    return (
        f"TMPDIR: cannot write to the scratch folder {place} ({_described(fault)}). Set TMPDIR to an "
        f"existing folder that user {os.geteuid()} can write to."
    )


def _lost(place: Path, fault: OSError) -> str:
    if isinstance(fault, UnsafeFolder):
        return f"The scratch folder was replaced, and is not safe to use: {fault}. {_ANOTHER_FOLDER}"
    return (
        f"{place} cannot be written to ({_described(fault)}): free some space, or set TMPDIR to "
        "another folder and restart the service."
    )


def _described(fault: OSError) -> str:
    return f"{fault.strerror}, {errno.errorcode.get(fault.errno or 0, fault.errno)}"


def _write_something(folder: Path) -> None:
    with TemporaryFile(dir=folder) as file:
        file.write(bytes(TRIED_BYTES))
        file.flush()
