"""The state transitions of a job, each as one step of a transaction.

Most methods run in the event loop, where they serialise the job, and return a step that runs in the database's thread.
`take` and `take_over` are such steps themselves. A step changes only jobs that it has read itself.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from saq.job import TERMINAL_STATUSES, Job, Status
from saq.utils import now

from proxy.queues.base import DEFERRED, PAUSED, SET_ASIDE_DAYS, QueueFull, retry_delay
from proxy.queues.readable import UnreadableJob
from proxy.queues.runs import Run, TakenJob, as_stored, is_same_run
from proxy.queues.sqlite import facts, set_aside, statements
from proxy.system import lockfiles

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from proxy.queues.base import JobQueue

    T = TypeVar("T")
    Step: TypeAlias = Callable[[sqlite3.Connection], T]


DAY_SECONDS = 86_400

MOST_SET_ASIDE = 100
"""How many unreadable jobs one dequeue sets aside; the next one continues, so that no transaction is long."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A job that cannot be read: the key of its row, and the reason."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dequeued:
    """The result of a dequeue: a job and its row before, or when the next job is due (epoch seconds)."""

    job: Job | None = None
    row: statements.JobRow | None = None
    next_scheduled: float = math.inf
    set_aside: tuple[SetAside, ...] = ()


@dataclass(frozen=True, slots=True)
class Transitions:
    """The transitions of jobs in `queue` by the process `owner`; `others` is the folder of the process lock files."""

    queue: JobQueue
    owner: str
    others: Path

    def enqueue(self, job: Job, *, size: int | None = None) -> Step[bool]:
        """Return a step that enqueues a job; the step returns False if a live job has the same key.

        The step raises `QueueFull` if `size` jobs wait already.
        """
        row = self._row(job, scheduled=job.scheduled, due=job.scheduled or time.time())

        def insert(connection: sqlite3.Connection) -> bool:
            if size is not None and (waiting := statements.count_waiting(connection, self.queue.name)) >= size:
                raise QueueFull(waiting)
            return statements.insert(connection, row)

        return insert

    def take(self, connection: sqlite3.Connection) -> Dequeued:
        """Take the next job that is due, unless the queue is paused; set aside those before it that cannot be read."""
        if facts.recall(connection, self.queue.name, PAUSED) is not None:
            return Dequeued()
        unreadable: list[SetAside] = []
        while len(unreadable) < MOST_SET_ASIDE:
            row = statements.next_due(connection, self.queue.name, time.time())
            if row is None:
                later = statements.next_scheduled(connection, self.queue.name)
                return Dequeued(next_scheduled=later, set_aside=tuple(unreadable))
            try:
                job = self.read(row, Status.ACTIVE)
            except UnreadableJob as fault:
                unreadable.append(self._set_aside(connection, row, fault))
            else:
                return self._begin(connection, row, job, tuple(unreadable))
        return Dequeued(next_scheduled=0.0, set_aside=tuple(unreadable))

    def _begin(
        self, connection: sqlite3.Connection, row: statements.JobRow, job: Job, unreadable: tuple[SetAside, ...]
    ) -> Dequeued:
        job.started = job.touched = now()
        job.attempts += 1  # stored before the worker counts it, so that a crash in between counts as an attempt
        statements.take(connection, row, owner=self.owner, body=self.queue.serialize(job))
        run = Run.of(job)
        job.attempts -= 1
        return Dequeued(TakenJob.of(job, run), row, set_aside=unreadable)

    def _set_aside(self, connection: sqlite3.Connection, row: statements.JobRow, fault: UnreadableJob) -> SetAside:
        set_aside.set_aside(connection, row, reason=str(fault), expires=time.time() + SET_ASIDE_DAYS * DAY_SECONDS)
        return SetAside(row.key, str(fault))

    def take_back(self, connection: sqlite3.Connection) -> list[str]:
        """Queue the jobs again that were set aside and can be read by now; return their keys."""
        rows = set_aside.set_aside_rows(connection, self.queue.name)
        readable = [row for row in rows if self.readable(row)]
        for row in readable:
            set_aside.take_back(connection, row)
        return [row.key for row in readable]

    def put_back(self, job: Job, row: statements.JobRow) -> Step[None]:
        """Return a step that undoes `take`, unless the job has been taken over; `row` is the row before."""

        def step(connection: sqlite3.Connection) -> None:
            if self._same_run(connection, job) is not None:
                statements.put_back(connection, row)

        return step

    def update(self, job: Job, status: Status | None) -> Step[bool]:
        """Return a step that stores the worker's copy of its job; the step returns False if its run is over."""

        def step(connection: sqlite3.Connection) -> bool:
            stored = self._same_run(connection, job)
            if stored is None:
                return False
            changed = as_stored(self.queue.copy(job), stored, status)
            statements.update(connection, self._row(changed), status=changed.status.value)
            return True

        return step

    def touch(self, job: Job) -> Step[bool]:
        """Return a step that stores a heartbeat; the step returns False if the job ended or changed workers."""
        claim, touched = self.queue.copy(job), now()
        job.touched = touched

        def step(connection: sqlite3.Connection) -> bool:
            stored = self._same_run(connection, claim)
            if stored is None:
                return False
            stored.touched = touched
            statements.update(connection, self._row(stored), status=None)
            return True

        return step

    def finish(self, job: Job) -> Step[Job | None]:
        """Return a step that stores how a job ended, for the duration of its `ttl`, unless its run has ended already.

        The step returns the job with its stored end; None if another run has begun, or if the job does not exist. If
        the worker lets a stuck job go because a sweep asked for it, the step queues the job again, and returns None.
        The process that sweeps could do so later, but it may be killed meanwhile, and a job without a `ttl` would be
        gone.
        """
        row = self._row(job)

        def step(connection: sqlite3.Connection) -> Job | None:
            stored = self._same_run(connection, job, or_ended=True)
            if stored is None or stored.status in TERMINAL_STATUSES:
                return stored
            if job.status == Status.ABORTED and self._is_stuck(stored):
                released = self._retry_or_end(connection, stored)
                return released if released.status == Status.ABORTED else None
            _end(connection, row, ttl=job.ttl)
            return job

        return step

    def retry(self, job: Job) -> Step[bool]:
        """Return a step that requeues a job at the end of the queue, after its delay.

        The step returns False if its run is over.
        """
        row = self._retry_row(job)

        def step(connection: sqlite3.Connection) -> bool:
            if self._same_run(connection, job) is None:
                return False
            statements.replace(connection, row)
            return True

        return step

    def abort(self, job: Job, error: str) -> Step[Job | None]:
        """Return a step that aborts a waiting job, or requests that the worker of a running job abort it.

        The step returns the changed job; None if the job has ended or does not exist.
        """

        def step(connection: sqlite3.Connection) -> Job | None:
            row = self._find(connection, job)
            stored = self.readable(row) if row else None
            if row is None or stored is None or stored.status in TERMINAL_STATUSES:
                return None
            if stored.status in (Status.NEW, Status.QUEUED):
                return self._aborted(connection, stored, error)
            stored.status, stored.error = Status.ABORTING, error
            statements.replace(connection, self._row(stored, owner=row.owner))
            return stored

        return step

    def release_stuck(self, job: Job) -> Step[Job | None]:
        """Return a step that retries or aborts a stuck job, once its worker had time to let it go.

        The step returns the changed job; None if the worker let it go, or ended it in the meantime.
        """

        def step(connection: sqlite3.Connection) -> Job | None:
            row = self._find(connection, job)
            stored = self.readable(row) if row else None
            if stored is None or stored.status != Status.ABORTING:
                return None
            return self._retry_or_end(connection, stored)

        return step

    def take_over(self, connection: sqlite3.Connection) -> tuple[list[Job], list[SetAside]]:
        """Retry or abort every job whose process is dead, and set aside those of them that cannot be read.

        A job that another process holds may be unreadable only to this one, whose version may be older.
        """
        active = statements.active(connection, self.queue.name)
        dead = {
            owner for owner in {row.owner for row in active} if owner and not lockfiles.is_alive(self.others, owner)
        }
        released: list[Job] = []
        unreadable: list[SetAside] = []
        for row in active:
            if row.owner not in dead:
                continue
            try:
                job = self.read(row)
            except UnreadableJob as fault:
                unreadable.append(self._set_aside(connection, row, fault))
            else:
                released.append(self._retry_or_end(connection, job))
        return released, unreadable

    def read(self, row: statements.JobRow, status: Status | None = None) -> Job:
        """Return the job of a row, with `status` if it is not None, else with the row's status.

        Raises:
            UnreadableJob: this version cannot read the job, or the row's `life` is not that of the job.
        """
        job = self.queue.read(row.body, status=status or row.status, key=row.key)
        if job.queued != row.life:
            raise UnreadableJob(f"it was queued at {job.queued}, and its row at {row.life}")
        return job

    def readable(self, row: statements.JobRow) -> Job | None:
        """Return the job of a row; None if it cannot be read."""
        try:
            return self.read(row)
        except UnreadableJob:
            return None

    def _is_stuck(self, stored: Job) -> bool:
        """Return whether a sweep asked the worker of a job to let it go."""
        return stored.status == Status.ABORTING and stored.error == self.queue.swept_error_message

    def _retry_or_end(self, connection: sqlite3.Connection, job: Job) -> Job:
        swept = self.queue.swept_error_message
        if job.status != Status.ACTIVE and job.error != swept:  # an abort that no sweep requested
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

    def _same_run(self, connection: sqlite3.Connection, job: Job, *, or_ended: bool = False) -> Job | None:
        """Return the stored job if it is still in the run of the copy `job`; see `is_same_run`."""
        row = self._find(connection, job)
        stored = self.readable(row) if row else None
        return stored if stored and is_same_run(stored, job, or_ended=or_ended) else None

    def _find(self, connection: sqlite3.Connection, job: Job) -> statements.JobRow | None:
        row = statements.find(connection, self.queue.name, job.key)
        return None if row is None or row.life != job.queued else row

    def _retry_row(self, job: Job) -> statements.JobRow:
        delay = retry_delay(job)
        due = time.time() + delay
        if delay:
            job.scheduled = int(due)  # shown to readers; the row keeps the fraction
        owner = statements.DEFERRED_OWNER if job.priority == DEFERRED else None
        return self._row(job, scheduled=due if delay else 0.0, due=due, owner=owner)

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
