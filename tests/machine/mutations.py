"""Mistakes in the product that the state machine has to find, each applied to a copy of the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.machine.nodes import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.queues import QueueKind

PARTS: Final = ("proxy", "pipeline", "loadtest", "tests", "config", "pyproject.toml")
"""What of the tree is copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change: in one file, the text `right` becomes `wrong`."""

    path: str
    right: str
    wrong: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A mistake, and a queue on which it shows."""

    mistake: str
    edits: tuple[Edit, ...]
    queue: QueueKind


_NO_LOOK_BEFORE = Edit(
    path="proxy/derivatives/uploads.py",
    right="self._newer_etag = self._newer(await self._head(self._task.key))",
    wrong="self._newer_etag = None",
)
_NO_LOOK_AFTER = Edit(
    path="proxy/derivatives/service.py",
    right="return made, now.etag != made.original.etag",
    wrong="return made, False",
)


MUTATIONS: Final = {
    "a": Mutation(
        mistake="the 202 does not wait until the job is on disk",
        edits=(
            Edit(
                path="proxy/queues/sqlite/queue.py",
                right="return job if await self._database.write(self._transitions.enqueue(job, size=size)) else None",
                wrong="return job if self._database.write(self._transitions.enqueue(job, size=size)) else None",
            ),
        ),
        queue="sqlite",
    ),
    "b": Mutation(
        mistake="the job is done before the last derivative is in the store",
        edits=(
            Edit(
                path="proxy/derivatives/uploads.py",
                right="*await asyncio.gather(*puts, return_exceptions=True)]",
                wrong="*await asyncio.gather(*[*map(asyncio.ensure_future, puts)][:-1], return_exceptions=True)]",
            ),
        ),
        queue="redis",
    ),
    # Either look makes up for the other: a worker that was stopped in between renders once more.
    "c": Mutation(
        mistake="no look at the original once it was fetched: it may have been replaced meanwhile",
        edits=(_NO_LOOK_BEFORE, _NO_LOOK_AFTER),
        queue="postgres",
    ),
    "no tombstone": Mutation(
        mistake="nobody looks for the tombstone of a picture that was taken down",
        edits=(
            Edit(
                path="proxy/jobs/takedown/tombstones.py",
                right="return await self.find(key) is not None",
                wrong="return await self.find(key) is not None and False",
            ),
        ),
        queue="sqlite",
    ),
    "d": Mutation(
        mistake="the queue takes any number of jobs",
        edits=(
            Edit(
                path="proxy/jobs/service.py",
                right="if waiting + len(new) >= self._queue_size:",
                wrong="if waiting + len(new) < 0:",
            ),
        ),
        queue="redis",
    ),
}


@contextmanager
def mutated(mutation: Mutation) -> Iterator[Path]:
    """Yield a copy of the tree with a mistake in it.

    Raises:
        LookupError: the product has changed, and the mistake cannot be made in it any longer.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in PARTS:
            place = ROOT / part
            if place.is_dir():
                shutil.copytree(place, copy / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(place, copy / part)
        for edit in mutation.edits:
            path = copy / edit.path
            source = path.read_text()
            if source.count(edit.right) != 1:
                raise LookupError(f"{edit.path} does not have this line exactly once: {edit.right}")
            path.write_text(source.replace(edit.right, edit.wrong))
        yield copy


def hunt(mutation: Mutation, *, queue: QueueKind, steps: int, chosen: int) -> subprocess.CompletedProcess[str]:
    """Run the state machine on a copy of the tree with a mistake in it; exit status 1 is a find."""
    words = ["--queue", queue, "--steps", str(steps), "--seed", str(chosen)]
    with mutated(mutation) as copy:
        return subprocess.run(
            [sys.executable, "-m", "tests.machine", *words], cwd=copy, capture_output=True, text=True, check=False
        )
