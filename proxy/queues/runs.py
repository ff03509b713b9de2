"""The runs of a job: a worker that stalled, and lost its job to another one, must not write to it any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields, replace

from saq.job import TERMINAL_STATUSES, Job, Status


class LeaseLost(asyncio.CancelledError):
    """A worker wrote to a job that has ended, or that is no longer its own; nothing was written.

    It is a cancellation because that is how SAQ's worker drops a job without a retry and without an error in the log.
    """


@dataclass(frozen=True, slots=True)
class Run:
    """What distinguishes a run of a job from every other: a worker may write to the record only while it has these."""

    life: int
    """When the job was enqueued (epoch milliseconds); a key may be used by one job after another."""
    started: int
    attempts: int
    worker_id: str | None
    put_back: int
    """When the job was last put back, if the record still has the status "queued", as on Redis before a run begins."""

    @classmethod
    def of(cls, record: Job) -> Run:
        """Return the run of a stored job."""
        put_back = record.touched if record.status == Status.QUEUED else 0
        return cls(record.queued, record.started, record.attempts, record.worker_id, put_back)


class TakenJob(Job):
    """A job that a worker took, with the run as which it is stored; the worker changes its copy before it is stored."""

    run: Run

    @classmethod
    def of(cls, job: Job, run: Run | None = None) -> TakenJob:
        """Return a copy of a job; its run is that of the job if it is None."""
        taken = cls(**{field.name: getattr(job, field.name) for field in fields(Job)})
        taken.run = run or run_of(job)
        return taken


def run_of(job: Job) -> Run:
    """Return the run of a worker's copy of its job, or of a stored job."""
    return job.run if isinstance(job, TakenJob) else Run.of(job)


def is_same_run(stored: Job, job: Job, *, or_ended: bool = False) -> bool:
    """Return whether a stored job is still in the same run as the copy `job`; `or_ended` allows that the run ended."""
    known, now = run_of(job), Run.of(stored)
    if not isinstance(job, TakenJob):  # no worker has it, and it may have been touched to be stored
        known = replace(known, put_back=now.put_back)
    return now == known and (or_ended or stored.status not in TERMINAL_STATUSES)


def adopt_end(job: Job, ended: Job) -> None:
    """Set the end of a copy of a job to that of the stored job `ended`.

    A worker ends its job, and its watch for cancellations may do so at the same time. The first end that is stored
    remains: a job that was done does not become an aborted one, nor the reverse.
    """
    job.status, job.result, job.error, job.completed = ended.status, ended.result, ended.error, ended.completed


def as_stored(job: Job, stored: Job, status: Status | None) -> Job:
    """Set the status of a worker's copy of its job, and return it: that is `status`, or the stored one if it is None.

    A job that is to be aborted remains so, whatever its worker stores.
    """
    if stored.status == Status.ABORTING:
        job.status, job.error = Status.ABORTING, stored.error
    else:
        job.status = status or stored.status
    return job
