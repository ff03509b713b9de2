"""What a run keeps on disk, in a folder of its own: its checkpoint, its failures, the lock that keeps others out."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from anyio.to_thread import run_sync

from proxy.bulk.checkpoint import Checkpoint, new_checkpoint
from proxy.bulk.failures import append
from proxy.errors import CannotStart, GaveUp
from proxy.stores.file.atomic import flush_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from proxy.bulk.checkpoint import RunOptions
    from proxy.bulk.failures import FailedOriginal


class OtherRun(Exception):
    """There is an unfinished run that was asked for something else; `str()` says what to do."""


class StateDir:
    """Keeps where a run is, so that a run that was killed at any moment goes on there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checkpoint = folder / "checkpoint.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other run out of the folder, which is made if missing.

        Raises:
            CannotStart: another run is at work there, or nothing can be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as fault:
            raise CannotStart(f"--state: nothing can be written to {self._folder} ({fault.strerror}).") from fault
        try:
            _lock(descriptor, self._folder)
            yield
        finally:
            os.close(descriptor)

    def read_or_begin(self, words: RunOptions) -> Checkpoint:
        """Give the place of the unfinished run that was asked for the same, or of a new one.

        Raises:
            OtherRun: it was asked for something else.
            CannotStart: there is something that makes no sense.
        """
        place = self._read()
        if place is None:
            return new_checkpoint(words)
        if differences := place.words.differences(words):
            raise OtherRun(
                f"An unfinished run in {self._folder} was asked for something else ({', '.join(differences)}): ask for "
                "the same to go on with it, name another --state, or --restart to forget it."
            )
        return place

    def _read(self) -> Checkpoint | None:
        try:
            return msgspec.json.decode(self._checkpoint.read_bytes(), type=Checkpoint)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise CannotStart(f"{self._checkpoint} cannot be read ({fault.strerror}); name another --state.") from fault
        except msgspec.DecodeError as fault:
            raise CannotStart(f"{self._checkpoint} is no checkpoint ({fault}): --restart begins anew.") from fault

    def failures(self, place: Checkpoint) -> Path:
        """Name the file of a run's failures."""
        return self._folder / place.failures

    async def save(self, place: Checkpoint) -> None:
        """Keep where the run is; when this returns, it stays."""
        body = msgspec.json.encode(place)  # here, where nothing changes meanwhile
        with _disk_errors(self._folder):
            await run_sync(self._save, body)

    async def fail(self, place: Checkpoint, failure: FailedOriginal) -> None:
        """Keep a failure; when this returns, it stays."""
        with _disk_errors(self._folder):
            await run_sync(append, self.failures(place), failure)

    def forget(self) -> None:
        """Have the next run begin at the beginning."""
        self._checkpoint.unlink(missing_ok=True)

    def _save(self, place: bytes) -> None:
        new = self._checkpoint.with_suffix(".new")
        with new.open("wb") as file:
            file.write(place)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._checkpoint)
        flush_folder(self._folder)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(f"Another run is at work in {folder}: wait for it, or name another --state.") from None


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GaveUp(
            f"Nothing can be kept in {folder} ({error.strerror}): what was done could be done twice."
        ) from error


class NoState:
    """Keeps nothing: a run that changes nothing has nothing to go on with."""

    def held(self) -> AbstractContextManager[None]:
        """Keep nobody out."""
        return nullcontext()

    def read_or_begin(self, words: RunOptions) -> Checkpoint:
        """Give the place of a new run."""
        return new_checkpoint(words)

    def failures(self, place: Checkpoint) -> Path:
        """Name the file that there would be."""
        return Path(place.failures)

    def forget(self) -> None:
        """Forget nothing."""

    async def save(self, place: Checkpoint) -> None:
        """Keep nothing."""

    async def fail(self, place: Checkpoint, failure: FailedOriginal) -> None:
        """Keep nothing."""
