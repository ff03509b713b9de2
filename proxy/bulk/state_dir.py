"""The state of a run in a folder: checkpoint, failures, lock file."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from anyio.to_thread import run_sync

from proxy.bulk.checkpoint import Checkpoint, new_checkpoint
from proxy.bulk.options import BadOption, OtherOptions
from proxy.bulk.originals import append_failure
from proxy.bulk.own_folder import FolderKind, claim
from proxy.concurrency.file_locks import acquire
from proxy.errors import CannotStart, GaveUp
from proxy.stores.file.atomic import flush_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from proxy.bulk.checkpoint import RunOptions
    from proxy.bulk.originals import FailedOriginal


def _is_older(folder: Path) -> bool:
    return (folder / "lock").exists() or StateDir(folder).has_checkpoint()


_STATE: Final = FolderKind(
    name="reprocessing run",
    option="--state",
    known=re.compile(r"lock|checkpoint\.(json|new)|failures-\d{8}T\d{6}Z(-[0-9a-f]+)?\.jsonl"),
    is_older=_is_older,
)


class OtherRun(OtherOptions):
    """The unfinished run has other options; the message states what to do."""


class StateDir:
    """The folder with the state of a run; a run killed at any moment resumes from it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "checkpoint.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Yield with the folder locked; it is created if missing.

        Raises:
            BadOption: the folder has files that no run created, or it is not writable.
            CannotStart: another run uses it.
        """
        claim(self._folder, _STATE)
        try:
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as fault:
            raise BadOption(
                f"--state: cannot write to {self._folder} ({fault.strerror}). Use a writable folder."
            ) from fault
        try:
            _lock(descriptor, self._folder)
            yield
        finally:
            os.close(descriptor)

    def load(self, options: RunOptions) -> Checkpoint:
        """Return the checkpoint of the unfinished run with the same options, or a new one.

        Raises:
            OtherRun: the unfinished run has other options.
            BadOption: the checkpoint cannot be read.
        """
        checkpoint = self._read()
        if checkpoint is None:
            return new_checkpoint(options)
        if differences := checkpoint.options.differences(options):
            raise OtherRun(
                f"--state: the unfinished run in {self._folder} has other options or settings "
                f"({', '.join(differences)}). Use the same ones to continue it, another folder to keep it, or "
                "--restart to discard it."
            )
        return checkpoint

    def _read(self) -> Checkpoint | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Checkpoint)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise BadOption(
                f"--state: cannot read {self._path} ({fault.strerror}). Make it readable, or use another folder."
            ) from fault
        except msgspec.DecodeError as fault:
            raise BadOption(
                f"--state: {self._path} is not a checkpoint ({fault}). Use --restart to start over."
            ) from fault

    def has_checkpoint(self) -> bool:
        """Return whether a run has left a checkpoint that can be read."""
        try:
            return self._read() is not None
        except BadOption:
            return False

    def failures_path(self, checkpoint: Checkpoint) -> Path:
        """Return the path of the file of failures."""
        return self._folder / checkpoint.failures

    async def save(self, checkpoint: Checkpoint) -> None:
        """Store the checkpoint durably."""
        body = msgspec.json.encode(checkpoint)  # not in the thread, where the tally could change meanwhile
        with _disk_errors(self._folder):
            await run_sync(self._save, body)

    async def append_failure(self, checkpoint: Checkpoint, failure: FailedOriginal) -> None:
        """Store a failure durably."""
        with _disk_errors(self._folder):
            await run_sync(append_failure, self.failures_path(checkpoint), failure)

    def clear(self) -> None:
        """Delete the checkpoint; the next run starts over."""
        self._path.unlink(missing_ok=True)

    def _save(self, body: bytes) -> None:
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        flush_folder(self._folder)


def _lock(descriptor: int, folder: Path) -> None:
    if not acquire(descriptor):
        raise CannotStart(f"--state: another run uses {folder}. Wait until it ends, or use another folder.")


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GaveUp(
            f"--state: cannot write to {folder} ({error.strerror}). The last originals may be processed again."
        ) from error


class NoState:
    """State that is not stored, for runs without a checkpoint: dry runs and promotions."""

    def locked(self) -> AbstractContextManager[None]:
        """Lock nothing."""
        return nullcontext()

    def load(self, options: RunOptions) -> Checkpoint:
        """Return the checkpoint of a new run."""
        return new_checkpoint(options)

    def failures_path(self, checkpoint: Checkpoint) -> Path:
        """Return the name that the file of failures would have."""
        return Path(checkpoint.failures)

    def clear(self) -> None:
        """Delete nothing."""

    async def save(self, checkpoint: Checkpoint) -> None:
        """Store nothing."""

    async def append_failure(self, checkpoint: Checkpoint, failure: FailedOriginal) -> None:
        """Store nothing."""
