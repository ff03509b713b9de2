"""What may happen to a job, each as one step of a transaction.

A method is called in the event loop, where it writes the job down; the step that it returns runs in the database's
thread, and touches no job but those that it read itself.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from saq.job import TERMINAL_STATUSES, Job, Status
from saq.utils import now

from proxy.queues.base import is_same_run
from proxy.queues.sqlite import statements
from proxy.system import lockfiles

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from saq.queue.base import Queue

    T = TypeVar("T")
    Step: TypeAlias = Callable[[sqlite3.Connection], T]


@dataclass(frozen=True, slots=True)
class Dequeued:
    """What a look at the line gave: a job and its row as it was, or when to look again (epoch seconds)."""

    job: Job | None = None
    row: statements.JobRow | None = None
    next_scheduled: float = math.inf


@dataclass(frozen=True, slots=True)
class Transitions:
    """The steps of `queue` in the hands of the process called `owner`, one of those in the folder `others`."""

    queue: Queue
    owner: str
    others: Path

    def enqueue(self, job: Job) -> Step[bool]:
        """Add a job to the line; False when one of its key is live."""
        row = self._row(job, scheduled=job.scheduled, due=job.scheduled or time.time())
        return lambda connection: statements.insert(connection, row)

    def take(self, connection: sqlite3.Connection) -> Dequeued:
        """Take the job whose turn it is."""
        row = statements.next_due(connection, self.queue.name, time.time())
        if row is None:
            return Dequeued(next_scheduled=statements.next_scheduled(connection, self.queue.name))
        job = self.read(row, Status.ACTIVE)
        job.started = job.touched = now()
        job.attempts += 1  # on the disk before the worker counts it: a death in between was an attempt too
        statements.take(connection, row, owner=self.owner, body=self.queue.serialize(job))
        job.attempts -= 1
        return Dequeued(job, row)

    def put_back(self, row: statements.JobRow) -> Step[None]:
        """Undo `take`."""
        return lambda connection: statements.put_back(connection, row)

    def update(self, job: Job, status: Status | None) -> Step[None]:
        """Write down what a worker says of its job."""
        row = self._row(job)
        return lambda connection: statements.update(connection, row, status=None if status is None else status.value)

    def touch(self, job: Job) -> Step[bool]:
        """Show that the worker of a job lives; False when the job is not its any more."""
        claim, touched = self.queue.copy(job), now()
        job.touched = touched

        def step(connection: sqlite3.Connection) -> bool:
            row = self._find(connection, claim)
            stored = self.read(row) if row else None
            if stored is None or not is_same_run(stored, claim):
                return False
            stored.touched = touched
            statements.update(connection, self._row(stored), status=None)
            return True

        return step

    def finish(self, job: Job) -> Step[None]:
        """Write down how a job ended, for as long as its `ttl` says."""
        row = self._row(job)
        return lambda connection: _end(connection, row, ttl=job.ttl)

    def retry(self, job: Job) -> Step[None]:
        """Put a job back into the line, at its end, after its delay."""
        row = self._retry_row(job)
        return lambda connection: statements.restore(connection, row)

    def abort(self, job: Job, error: str) -> Step[Job | None]:
        """End a job that waits, mark one that runs; gives the job as it then is, None when there was nothing to end."""

        def step(connection: sqlite3.Connection) -> Job | None:
            row = self._find(connection, job)
            if row is None or row.status in TERMINAL_STATUSES:
                return None
            stored = self.read(row)
            if stored.status in (Status.NEW, Status.QUEUED):
                return self._aborted(connection, stored, error)
            stored.status, stored.error = Status.ABORTING, error
            statements.replace(connection, self._row(stored, owner=row.owner))
            return stored

        return step

    def release_stuck(self, job: Job) -> Step[Job | None]:
        """Retry or end a stuck job, after its worker was asked to let go of it; None when it went on by itself."""
        forgotten = self._row(job) if job.ttl < 0 else None  # its worker let go, and that was the last of it

        def step(connection: sqlite3.Connection) -> Job | None:
            row = self._find(connection, job) or forgotten
            if row is None or row.status not in (Status.ABORTING, Status.ABORTED):
                return None
            return self._retry_or_end(connection, self.read(row))

        return step

    def take_over(self, connection: sqlite3.Connection) -> list[Job]:
        """Retry or end every job whose process is dead."""
        active = statements.active(connection, self.queue.name)
        dead = {
            owner for owner in {row.owner for row in active} if owner and not lockfiles.is_alive(self.others, owner)
        }
        return [self._retry_or_end(connection, self.read(row)) for row in active if row.owner in dead]

    def read(self, row: statements.JobRow, status: Status | None = None) -> Job:
        """Make the job of a row again, with its own status or another."""
        job = self.queue.deserialize(row.body, status or row.status)
        if job is None:
            raise ValueError(f"The row of job {row.key!r} is empty.")
        return job

    def _retry_or_end(self, connection: sqlite3.Connection, job: Job) -> Job:
        swept = self.queue.swept_error_message
        if job.status != Status.ACTIVE and job.error != swept:  # somebody else wanted it to end
            return self._aborted(connection, job, job.error)
        if not job.retryable:
            return self._aborted(connection, job, swept)
        job.status, job.error, job.touched = Status.QUEUED, swept, now()
        job.completed = job.started = 0
        job.progress = 0.0
        statements.restore(connection, self._retry_row(job))
        return job

    def _aborted(self, connection: sqlite3.Connection, job: Job, error: str | None) -> Job:
        job.status, job.error, job.completed = Status.ABORTED, error, now()
        _end(connection, self._row(job), ttl=job.ttl)
        return job

    def _find(self, connection: sqlite3.Connection, job: Job) -> statements.JobRow | None:
        row = statements.find(connection, self.queue.name, job.key)
        return None if row is None or row.life != job.queued else row

    def _retry_row(self, job: Job) -> statements.JobRow:
        delay = job.next_retry_delay()
        due = time.time() + delay
        if delay:
            job.scheduled = int(due)  # what a reader is told; the line keeps the fraction
        return self._row(job, scheduled=due if delay else 0.0, due=due)

    def _row(
        self, job: Job, *, scheduled: float = 0.0, due: float = 0.0, owner: str | None = None
    ) -> statements.JobRow:
        return statements.JobRow(
            sequence=None,
            queue=self.queue.name,
            key=job.key,
            life=job.queued,
            status=job.status.value,
            scheduled=scheduled,
            due=due,
            expires=time.time() + job.ttl if job.ttl > 0 else None,
            owner=owner,
            body=self.queue.serialize(job),
        )


def _end(connection: sqlite3.Connection, row: statements.JobRow, *, ttl: int) -> None:
    if ttl < 0:
        statements.delete(connection, row)
    else:
        statements.replace(connection, row)
