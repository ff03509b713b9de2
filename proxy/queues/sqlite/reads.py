"""The read operations of a queue on SQLite."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from saq.job import Status
from saq.types import WorkerInfo

from proxy.errors import QueueUnavailable
from proxy.queues.base import JobQueue, QueueSnapshot
from proxy.queues.sqlite import statements

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from saq.job import Job
    from saq.types import CountKind, QueueInfo

    from proxy.queues.sqlite.database import Database
    from proxy.queues.sqlite.transitions import Transitions

PAGE = 100
"""How many jobs one read returns, which takes about 4 ms."""

NEWEST = 50
"""How many jobs one read of the newest returns: about a page of a listing."""


class SqliteReads(JobQueue):
    """The read operations of a queue in the SQLite file at `path`."""

    is_shared = False
    is_newest_first = True

    def __init__(self, path: Path, *, name: str) -> None:
        super().__init__(name=name, dump=None, load=None)
        self._path = path.resolve()
        self._opened: tuple[Database, Transitions] | None = None

    async def info(self, jobs: bool = False, offset: int = 0, limit: int = 10) -> QueueInfo:  # noqa: FBT001, FBT002 - SAQ's signature
        """Return SAQ's statistics of the queue, and a page of its live jobs if `jobs` is true."""
        at = time.time()

        def read(connection: sqlite3.Connection) -> tuple[dict[str, int], dict[str, str], list[statements.JobRow]]:
            page = statements.live(connection, self.name, offset=offset, limit=limit) if jobs else []
            return statements.count(connection, self.name, at), statements.reports(connection, self.name, at), page

        counted, reports, page = await self._database.read(read)
        told = []
        for number, row in enumerate(page, start=1):
            if job := self._transitions.readable(row):
                told.append(job.to_dict())
            if number % PAGE == 0:  # decoding thousands of jobs would block the event loop
                await asyncio.sleep(0)
        return {
            "workers": _reports(reports),
            "name": self.name,
            "queued": counted["queued"],
            "active": counted["active"],
            "scheduled": counted["incomplete"] - counted["queued"] - counted["active"],
            "jobs": told,
        }

    async def count(self, kind: CountKind) -> int:
        """Return the number of jobs that are due ("queued"), running ("active"), or not ended ("incomplete")."""
        counted = await self._database.read(lambda connection: statements.count(connection, self.name, time.time()))
        if kind not in counted:
            raise ValueError(f"kind must be one of {', '.join(counted)}, not {kind!r}.")
        return counted[kind]

    async def count_waiting(self) -> int:
        """Return the number of waiting jobs, including those scheduled for a later retry, without deferred ones."""
        return await self._database.read(lambda connection: statements.count_waiting(connection, self.name))

    async def count_deferred(self) -> int:
        """Return the number of waiting jobs that are deferred; see `JobQueue.count_deferred`."""
        return await self._database.read(lambda connection: statements.count_deferred(connection, self.name))

    async def snapshot(self, known: AbstractSet[str], *, limit: int) -> QueueSnapshot:
        """Return the live jobs; of those in `known`, only the keys are read."""
        keys, waiting, oldest, reports = await self._database.read(
            lambda connection: (
                statements.live_keys(connection, self.name, limit),
                statements.count_waiting(connection, self.name),
                statements.oldest_waiting(connection, self.name),
                statements.reports(connection, self.name, time.time()),
            )
        )
        unknown = [key for key in keys if key not in known]
        new: dict[str, dict[str, object]] = {}
        for first in range(0, len(unknown), PAGE):  # decoding all at once would block the event loop
            jobs = await self.jobs(unknown[first : first + PAGE])
            new.update((job.key, job.kwargs or {}) for job in jobs if job)
        return QueueSnapshot(keys=set(keys), new=new, waiting=waiting, oldest=oldest, workers=_reports(reports))

    async def job(self, job_key: str) -> Job | None:
        """Return the job under `job_key`; None if no such job is stored."""
        return (await self.jobs([job_key]))[0]

    async def jobs(self, job_keys: Iterable[str]) -> list[Job | None]:
        """Return the jobs in the order of `job_keys`, with None for each that does not exist."""
        keys = list(job_keys)
        found = await self._database.read(
            lambda connection: [statements.find(connection, self.name, key) for key in keys]
        )
        return [None if row is None else self._transitions.readable(row) for row in found]

    async def iter_jobs(self, statuses: Iterable[Status] = tuple(Status), batch_size: int = PAGE) -> AsyncIterator[Job]:
        """Yield the jobs with these statuses in the order they were enqueued, `batch_size` per read."""
        wanted = [status.value for status in statuses]
        sequence = 0

        def read(connection: sqlite3.Connection) -> list[statements.JobRow]:
            return statements.after(connection, self.name, sequence, statuses=wanted, limit=batch_size)

        while page := await self._database.read(read):
            for row in page:
                sequence = row.sequence or 0
                if job := self._transitions.readable(row):
                    yield job

    async def iter_newest(
        self,
        statuses: Sequence[Status],
        *,
        before: tuple[int, str] | None = None,
        has_failed: bool = False,
        text: str = "",
    ) -> AsyncIterator[Job]:
        """Yield the jobs with these statuses that are asked for, the newest first; see `JobQueue.iter_newest`."""
        wanted = statements.Wanted(
            statuses=tuple(status.value for status in statuses), has_failed=has_failed, text=text
        )
        place = before or (math.inf, "")

        def read(connection: sqlite3.Connection) -> list[statements.JobRow]:
            return statements.newest(connection, self.name, place, wanted, limit=NEWEST)

        while True:
            page = await self._database.read(read)
            for row in page:
                place = (row.life, row.key)
                if job := self._transitions.readable(row):
                    yield job
            if len(page) < NEWEST:
                return

    @property
    def _database(self) -> Database:
        return self._connected()[0]

    @property
    def _transitions(self) -> Transitions:
        return self._connected()[1]

    def _connected(self) -> tuple[Database, Transitions]:
        if self._opened is None:
            raise QueueUnavailable(f"The queue {self._path} is not connected.")
        return self._opened


def _reports(stored: Mapping[str, str]) -> dict[str, WorkerInfo]:
    """Return the reports that can be read; a worker replaces its report every few seconds."""
    found: dict[str, WorkerInfo] = {}
    for worker_id, report in stored.items():
        with suppress(ValueError):
            found[worker_id] = msgspec.convert(json.loads(report), WorkerInfo)
    return found
