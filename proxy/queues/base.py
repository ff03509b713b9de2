"""The base class of all queues, which extends SAQ's `Queue` with what our workers need."""

from __future__ import annotations

import asyncio
import math
import time
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import structlog
from saq.job import Status
from saq.queue.base import Queue

from proxy import metrics
from proxy.concurrency.backoff import Backoff
from proxy.queues.heartbeats import HEARTBEAT_SECONDS, Heartbeats
from proxy.queues.readable import UnreadableJob, check_order, read_fields
from proxy.queues.runs import LeaseLost, Run, TakenJob

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from saq.job import Job
    from saq.types import WorkerInfo

log = structlog.get_logger(__name__)

WRITE_SECONDS = 1.0
"""The minimum interval between test writes by `JobQueue.check`."""

TRIED_BYTES = 4096
"""The size of a test write: about the size of a job."""

CONCURRENCY = "concurrency"
"""The key in a worker report's metadata that holds how many jobs the worker runs concurrently."""

SET_ASIDE_DAYS = 30
"""How long a job that cannot be read is kept beside the queue."""

DEFERRED = 1
"""The `priority` of a job that waits outside of the size of the queue; it has no effect on the order of jobs."""

CHECKER, CHECKER_SECONDS = "readiness", 60
"""The worker id of the test write, and its TTL in seconds."""

PAUSED = "paused"
"""The name under which a queue stores when it was paused, in seconds since the epoch."""

DEQUEUE_SECONDS = 0.5
"""How long a worker waits for a job before it checks whether it should stop, if the wait cannot be interrupted."""

PAUSE_POLL_SECONDS = 0.5
"""How often a worker polls a paused queue, if the queue sends no notification."""


class QueueFull(Exception):
    """As many jobs wait as may; `waiting` is how many."""

    def __init__(self, waiting: int) -> None:
        super().__init__(waiting)
        self.waiting = waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSnapshot:
    """The live jobs of a queue (waiting or running), and the reports of its workers."""

    keys: AbstractSet[str]
    new: Mapping[str, Mapping[str, object]]
    """Job key -> enqueued kwargs, for live jobs that the caller did not list as known."""
    waiting: int
    oldest: float | None
    """When the oldest waiting job was enqueued (epoch seconds); None if no job waits."""
    workers: Mapping[str, WorkerInfo]


class JobQueue(Queue):
    """A SAQ queue whose workers have to send heartbeats for their jobs."""

    is_newest_first = False
    """Whether `iter_newest` yields the newest jobs first; otherwise in any order."""

    is_shared = True
    """Whether other machines may enqueue and take jobs."""

    dequeue_seconds = DEQUEUE_SECONDS
    """How long a worker waits for a job at a time."""

    _wrote = -math.inf
    """When a test write last succeeded (monotonic seconds)."""

    @cached_property
    def _checks(self) -> dict[str, Callable[[Job], object]]:
        return {}

    def expect(self, function: str, check: Callable[[Job], object]) -> None:
        """Register a function and a check that raises `ValueError` for jobs that it cannot run.

        Once a function is registered, jobs of all other functions cannot be read.
        """
        self._checks[function] = check

    def read(self, body: bytes | str, *, status: Status | str | None = None, key: str | None = None) -> Job:
        """Return a stored job, with `status` if it is not None; `key` is the one under which it is stored.

        Raises:
            UnreadableJob: this version cannot read the job.
        """
        fields = read_fields(body, key=key)
        try:
            job = super().deserialize(fields, status)
        except (ValueError, KeyError) as error:  # another queue's job, or an unknown status
            raise UnreadableJob(str(error)) from error
        if job is None:
            raise UnreadableJob("it is empty")
        if self._checks:
            check_order(job, self._checks)
        return job

    def deserialize(
        self, payload: dict[str, Any] | str | bytes | None, status: Status | str | None = None
    ) -> Job | None:
        """Return a job as `read` does, but None if there is none or it cannot be read: to callers it does not exist."""
        if payload is None or isinstance(payload, dict):  # a copy of a job of ours
            return super().deserialize(payload, status)
        try:
            return self.read(payload, status=status)
        except UnreadableJob:
            return None

    def report_set_aside(self, key: str, reason: str) -> None:
        """Log and count a job that was set aside."""
        metrics.jobs_set_aside_total.labels(self.name).inc()
        log.error("job_set_aside", queue=self.name, job_id=key, detail=reason)

    def report_taken_back(self, key: str) -> None:
        """Log a job that had been set aside and is queued again."""
        log.info("job_taken_back", queue=self.name, job_id=key)

    async def enqueue_within(self, size: int, job: Job) -> Job | None:  # noqa: ARG002 - for queues that can count
        """Enqueue a job and return it, or None if a live job has its key.

        The caller has counted the waiting jobs. A queue that can count them again in the same step, after whatever
        other processes enqueued, does so.

        Raises:
            QueueFull: `size` jobs wait already.
        """
        return await self.enqueue(job)

    def copy(self, job: Job) -> Job:
        """Return a copy of a job, of the same run."""
        copied = super().copy(job)
        return TakenJob.of(copied, job.run) if isinstance(job, TakenJob) else copied

    async def update(self, job: Job, **kwargs: Any) -> None:
        """Store a worker's copy of its job, after setting these fields; a job that is to be aborted remains so.

        Raises:
            LeaseLost: the job has ended, or it is no longer in this run.
        """
        try:
            await super().update(job, **kwargs)
        except LeaseLost:
            self._report_lost(job)
            raise
        if isinstance(job, TakenJob):
            job.run = Run.of(job)

    async def retry(self, job: Job, error: str | None) -> None:
        """Queue a job again, after its delay, unless it has ended or is no longer in this run."""
        try:
            await super().retry(job if isinstance(job, TakenJob) else TakenJob.of(job), error)
        except LeaseLost:
            self._report_lost(job)

    async def finish(
        self, job: Job, status: Status, *, result: object = None, error: str | None = None, **kwargs: Any
    ) -> None:
        """Store how a job ended; if it is no longer in this run, store nothing, and reset `completed`."""
        try:
            await super().finish(job, status, result=result, error=error, **kwargs)
        except LeaseLost:
            job.completed = 0
            self._report_lost(job)

    def _report_lost(self, job: Job) -> None:
        log.debug("job_lease_lost", job_id=job.key, attempt=job.attempts)

    @abstractmethod
    async def touch(self, job: Job) -> bool:
        """Send a heartbeat for `job`; return False if the job ended or now belongs to another worker.

        SAQ's `Job.update` also counts as a heartbeat. But it overwrites the stored job, and any change since, with the
        worker's own copy.
        """

    @cached_property
    def heartbeats(self) -> Heartbeats:
        """The heartbeats that this process has seen; tests replace it by one with another clock."""
        return Heartbeats()

    @abstractmethod
    async def clock(self) -> float:
        """Return the time by which scheduled jobs become due, in epoch seconds: the server's, if there is one."""

    @abstractmethod
    async def remember(self, name: str, value: str, *, seconds: float | None = None) -> str:
        """Store a value under a name, unless one is stored there, and return the stored one.

        It is kept for `seconds`; None is for ever. Every process and machine with this queue can read it.
        """

    @abstractmethod
    async def overwrite(self, name: str, value: str, *, seconds: float) -> None:
        """Store a value under a name for `seconds`, in place of the one that is stored there, if any."""

    @abstractmethod
    async def recall(self, name: str) -> str | None:
        """Return the value that is stored under a name; None if there is none."""

    @abstractmethod
    async def forget(self, name: str, *, value: str | None = None) -> bool:
        """Remove the value that is stored under a name; return False if there is none.

        With `value`, remove nothing if another one is stored.
        """

    def interrupt(self) -> None:
        """End the waits for jobs in `dequeue` that have begun, if they may be longer than `DEQUEUE_SECONDS`."""

    async def pause(self) -> None:
        """Hand no more jobs to workers, on any machine, until `resume`; a paused queue stays as it is.

        Running jobs continue, and new jobs are accepted. The pause survives restarts of the service and the server.
        """
        await self.remember(PAUSED, f"{time.time():.3f}")

    async def resume(self) -> None:
        """End a pause, if there is one."""
        await self.forget(PAUSED)

    async def paused_since(self) -> float | None:
        """Return when the queue was paused, in seconds since the epoch; None if it is not paused."""
        since = await self.recall(PAUSED)
        return None if since is None else float(since)

    async def check(self) -> None:
        """Raise unless the queue can be written to; a read is not enough, because it succeeds on a full disk.

        Raises:
            QueueUnavailable: the queue cannot be read or written.
        """
        await self.count("queued")
        if time.monotonic() - self._wrote < WRITE_SECONDS:
            return
        # Every SAQ queue stores workers' reports, with a TTL. A report without stats does not count as a worker.
        nobody: WorkerInfo = {"stats": None, "queue_key": self.name, "metadata": {"tries": " " * TRIED_BYTES}}
        await self.write_worker_info(CHECKER, nobody, CHECKER_SECONDS)
        self._wrote = time.monotonic()

    def iter_newest(
        self,
        statuses: Sequence[Status],
        *,
        before: tuple[int, str] | None = None,  # noqa: ARG002 - for queues that can select
        has_failed: bool = False,  # noqa: ARG002 - as above
        text: str = "",  # noqa: ARG002 - as above
    ) -> AsyncIterator[Job]:
        """Yield the jobs with these statuses, or fewer: a queue that can leaves out what is not asked for.

        `before` is a time in milliseconds and a key: only jobs that were enqueued before, or then with a lesser key.
        With `has_failed`, only those whose stored result has an error; with `text`, only those that contain it.
        """
        return self.iter_jobs(list(statuses))

    @abstractmethod
    async def count_deferred(self) -> int:
        """Return the number of waiting jobs whose `priority` is `DEFERRED`."""

    async def count_waiting(self) -> int:
        """Return the number of waiting jobs, including those scheduled for a later retry, without deferred ones."""
        kinds = self.count("incomplete"), self.count("active"), self.count_deferred()
        incomplete, active, deferred = await asyncio.gather(*kinds)
        return incomplete - active - deferred

    async def snapshot(self, known: AbstractSet[str], *, limit: int) -> QueueSnapshot:
        """Return a snapshot of the live jobs, with kwargs only for jobs that are not in `known`.

        `limit` bounds the number of jobs. SAQ's queue on PostgreSQL ignores it and returns all.
        """
        told = await self.info(jobs=True, limit=limit)
        waiting = [job["queued"] for job in told["jobs"] if job.get("status") == Status.QUEUED]
        return QueueSnapshot(
            keys={job["key"] for job in told["jobs"]},
            new={job["key"]: job.get("kwargs") or {} for job in told["jobs"] if job["key"] not in known},
            waiting=len(waiting),
            oldest=min(waiting) / 1000 if waiting else None,
            workers=told["workers"],
        )

    async def _before_enqueue(self, job: Job) -> None:
        job.heartbeat = job.heartbeat or HEARTBEAT_SECONDS
        await super()._before_enqueue(job)


def retry_delay(job: Job) -> float:
    """Return the seconds before the next attempt of a job.

    It replaces SAQ's `Job.next_retry_delay`, which fails with an `OverflowError` from the 1,025th attempt on.
    """
    if job.retry_backoff is False:
        return job.retry_delay
    longest = math.inf if job.retry_backoff is True else float(job.retry_backoff)
    return Backoff(first_seconds=job.retry_delay, longest_seconds=longest).wait_seconds(max(job.attempts, 1))


def is_deferred(job: Job | None) -> bool:
    """Return whether a job waits outside of the size of the queue."""
    return job is not None and job.priority == DEFERRED and job.status == Status.QUEUED
