"""What must be true of the service: a little after every step, and everything when it is idle."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tests.machine.bucket import SIZES
from tests.machine.clock import true_time
from tests.machine.fork_server import LEASE_SECONDS
from tests.machine.site import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from loadtest.servers.receiver import Received
    from tests.machine.nodes import Life, Node
    from tests.machine.site import Picture, Promise
    from tests.machine.uploading import UploadingSite

QUEUE_SIZE = 8
WORKERS = 2
LIMBO_SECONDS = 30.0
"""For that long after the end of a process, the jobs that it ran may return to the queue."""

MOST_RESIDENT_BYTES = 160 << 20
"""What a service may have resident beyond what it shares with the process that forked it."""

ENDS = {
    "job_done",
    "job_failed",
    "job_cancelled",
    "job_held",
    "job_retry_scheduled",
    "job_lease_lost",
    "job_lease_abandoned",
}
STARTS = {"job_started"}
NAMES = re.compile(r"\b[0-9a-f]{32}\b|\bgall/[0-9]+/[0-9]+_1_original\.jpg")
"""Ids of jobs and keys of originals."""

LAST_LINES = 12
"""How many lines of the log of each running process are shown when something is broken."""

CLOCK_SECONDS = 0.05
"""Events are logged a little before or after what they report."""

END_SECONDS = 90.0
"""How long jobs and callbacks may take to end after the last fault, on a machine that has much else to do."""

SCRATCH_SECONDS = 10.0
"""How long scratch files may be there without a job."""

LOOK_EVERY_SECONDS = 0.03


class Run(NamedTuple):
    """A worker's work on a job; times are in seconds since the epoch."""

    job: str
    node: str
    began: float
    ended: float


class Promises:
    """The promises of the service to a site, checked from outside."""

    def __init__(self, site: UploadingSite, received: Callable[[], list[Received]]) -> None:
        self._site = site
        self._received = received
        self._read = 0
        self._ended_runs: dict[Path, list[Run]] = {}
        """The log of a process that has ended -> its work."""

    def check_now(self) -> None:
        """Check what must hold at every moment.

        Raises:
            Violation: something does not.
        """
        told = self._received()
        for one in told[self._read :]:
            self._check_told(one)
        self._read = len(told)
        self._check_queue()
        if self._site.violations:
            raise Violation(self._site.violations.popleft())

    def _check_queue(self) -> None:
        """Check how many jobs waited, besides those that returned to the queue from processes that took them."""
        nodes, oldest = self._site.nodes, time.time() - LIMBO_SECONDS
        lives = [life for node in nodes for life in node.lives if life.ended is None or life.ended > oldest]
        # Each machine but one may accept a job too many, if all of them accept one at the same moment.
        most = QUEUE_SIZE + len(nodes) - 1 + WORKERS * len(lives)
        if self._site.most_waiting > most:
            raise Violation(f"{self._site.most_waiting} jobs waited, but {QUEUE_SIZE} may; {len(lives)} processes ran")
        self._site.most_waiting = 0

    def _check_told(self, one: Received) -> None:
        job = one.event.data
        promise = self._site.promises.get(job["id"])
        if promise is None or one.event.type != "job.done":
            return
        if unlisted := SIZES.keys() - {made["size"] for made in job["derivatives"]}:
            raise Violation(f"job {job['id']} was reported as done without its {sorted(unlisted)}")
        picture = promise.picture
        is_calm = not picture.purging and max(picture.touched, picture.purged) < promise.first
        # Another run may write older derivatives once more, before it finds the original replaced.
        if is_calm and (missing := SIZES.keys() - self._site.bucket.derivatives(picture.key).keys()):
            raise Violation(f"job {job['id']} was reported as done, but of {picture.key} {sorted(missing)} are missing")

    def wait_until_idle(self, tend: Callable[[], None]) -> None:
        """Wait until every accepted job has ended and every end was reported; call `tend` again and again.

        Raises:
            Violation: it took too long.
        """
        deadline = time.monotonic() + END_SECONDS
        while True:
            tend()
            if not (waiting := self._waiting()):
                return
            if time.monotonic() > deadline:
                raise Violation(f"{END_SECONDS:.0f} s after the last fault, {waiting}")
            time.sleep(LOOK_EVERY_SECONDS)

    def _waiting(self) -> str:
        """Return what the service still has to do; empty if nothing."""
        node = self._site.nodes[0]
        for status in ("queued", "processing"):
            jobs = self._site.live_jobs(node, status)
            if jobs is None:
                return "the jobs cannot be listed"
            if jobs:
                return f"jobs are {status}: {[job['id'] for job in jobs]}"
        # A job may be queued again between the two lists.
        if live := [job_id for job_id in self._site.promises if not self._has_ended(job_id)]:
            return f"these jobs have not ended: {live}"
        unread = [(job, run) for job, promise in self._site.promises.items() for run in promise.runs]
        told = {(one.event.data["id"], one.event.data["created_at"]) for one in self._received()}
        silent = [job for job, run in unread if (job, run) not in told]
        return f"the end of these jobs was not reported: {silent}" if silent else ""

    def check_idle(self) -> None:
        """Check everything, once the service is idle; what was promised so far is then forgotten.

        Raises:
            Violation: something does not hold.
        """
        self.check_now()
        self._check_callbacks()
        jobs = {job_id: self._ended(job_id) for job_id in self._site.promises}
        for job_id, promise in self._site.promises.items():
            self._check_end(job_id, promise, jobs[job_id])
        for picture in self._site.pictures:
            self._check_picture(picture, jobs)
        if broken := self._site.check_uploads():
            raise Violation(broken)
        self._check_runs()
        for node in self._site.nodes:
            _check_bounds(node)
        self._site.promises.clear()
        self._site.named.clear()

    def _has_ended(self, job_id: str) -> bool:
        """Return whether a job has ended.

        Raises:
            Violation: the service does not know it.
        """
        job = self._site.job(job_id, self._site.nodes[0])
        if self._site.violations:
            raise Violation(self._site.violations.popleft())
        return job is not None and job["status"] in {"done", "error"}

    def _ended(self, job_id: str) -> dict[str, Any]:
        job = self._site.job(job_id, self._site.nodes[0])
        if job is None or job["status"] not in {"done", "error"}:
            raise Violation(f"job {job_id} was accepted, and is {job and job['status']} when all is idle")
        return job

    def _check_callbacks(self) -> None:
        ids = defaultdict(set)
        for one in self._received():
            ids[one.event.data["id"], one.event.data["created_at"]].add(one.id)
        for (job, _), names in ids.items():
            if len(names) > 1:
                raise Violation(f"the end of job {job} was reported under {len(names)} ids: {names}")

    def _check_end(self, job_id: str, promise: Promise, job: dict[str, Any]) -> None:
        """Check that a job ended well, unless its original was missing at some time since."""
        if promise.is_cancelled and job["error"] and job["error"]["code"] == "cancelled":
            promise.picture.is_taken_down = promise.picture.is_taken_down and not promise.is_takedown
            return
        if promise.is_takedown and job["status"] != "done":
            raise Violation(f"takedown {job_id} of {promise.picture.key} ended with {job['error']}")
        if job["status"] == "error" and promise.picture.was_absent < promise.first and promise.picture.etag:
            raise Violation(f"job {job_id} of {promise.picture.key} ended with {job['error']}")

    def _check_picture(self, picture: Picture, jobs: dict[str, dict[str, Any]]) -> None:
        ended = [
            job_id
            for job_id, promise in self._site.promises.items()
            if promise.picture is picture
            and not picture.purging
            and promise.accepted > max(picture.written, picture.purged)
            and jobs[job_id]["status"] == "done"
        ]
        if ended and picture.etag and (missing := self._missing(picture)):
            raise Violation(f"job {ended[0]} is done, but of {picture.key} {missing}")
        if picture.is_taken_down:
            allowed = {picture.key} if picture.is_stray else set()
            copies = self._site.bucket.copies(picture.key) - allowed
            # A render does not wait for a queue that stands still: docs/takedown.md.
            if copies and not (picture.is_stray and self._has_logged("tombstone_unread", picture.key)):
                raise Violation(f"{picture.key} was taken down, but {sorted(copies)} are there")
            return
        if picture.is_purged and picture.etag is None and (left := self._site.bucket.derivatives(picture.key)):
            raise Violation(f"{picture.key} was removed and purged, but {sorted(left)} are there")

    def _has_logged(self, event: str, key: str) -> bool:
        logs = (life.log for node in self._site.nodes for life in node.lives)
        lines = (line for log in logs for line in log.read_bytes().splitlines())
        return any(event.encode() in line and key.encode() in line for line in lines)

    def _missing(self, picture: Picture) -> str:
        """Return which derivatives of today's original are missing or stale; empty if none."""
        made = self._site.bucket.derivatives(picture.key)
        missing, stale = SIZES.keys() - made.keys(), [size for size, etag in made.items() if etag != picture.etag]
        told = ([f"{sorted(missing)} are missing"] if missing else []) + ([f"{stale} are stale"] if stale else [])
        return " and ".join(told)

    def _check_runs(self) -> None:
        runs: dict[str, list[Run]] = defaultdict(list)
        for node in self._site.nodes:
            for life in node.lives:
                for run in self._runs_of(node, life):
                    runs[run.job].append(run)
        for job, worked in runs.items():
            for one, other in combinations(sorted(worked, key=lambda run: run.began), 2):
                if other.began + CLOCK_SECONDS < one.ended:
                    raise Violation(f"job {job} was worked on twice at once: {one} and {other}")

    def _runs_of(self, node: Node, life: Life) -> list[Run]:
        if (kept := self._ended_runs.get(life.log)) is not None:
            return kept
        found = [*read_runs(node, life)]
        if life.ended is not None:
            self._ended_runs[life.log] = found
        return found


def read_runs(node: Node, life: Life) -> Iterator[Run]:
    """Yield the work of a process on jobs, without that during which it was stopped for about a lease or longer."""
    begun: dict[str, float] = {}
    last = life.began
    for event, job, last in _events(life):
        if event in STARTS:
            begun[job] = last
        elif event in ENDS and job in begun:
            yield from _counted(Run(job, node.name, begun.pop(job), last), life)
    for job, began in begun.items():
        # A failpoint kills at a moment that nothing logs: only what was logged proves that the process was alive.
        yield from _counted(Run(job, node.name, began, max(began, last)), life)


def _counted(run: Run, life: Life) -> Sequence[Run]:
    stops = [stop for stop in life.frozen if stop[0] < run.ended and run.began < stop[1]]
    return () if any(end - began > LEASE_SECONDS / 2 for began, end in stops) else (run,)


def _events(life: Life) -> Iterator[tuple[str, str, float]]:
    for line in life.log.read_bytes().splitlines():
        with suppress(msgspec.DecodeError, KeyError):
            told = msgspec.json.decode(line, type=dict[str, Any])
            yield told["event"], told.get("job_id", ""), _at(told["time"], life)


def _at(told: str, life: Life) -> float:
    """Return when something happened that a process logged, whatever its clock showed."""
    return true_time(datetime.fromisoformat(told).timestamp(), began=life.began, ended=life.ended or time.time())


def evidence(nodes: Sequence[Node], broken: str) -> Iterator[str]:
    """Yield what the machines logged about the jobs and keys that a sentence names, and last, each after its time."""
    names = [name.encode() for name in NAMES.findall(broken)]
    for node in nodes:
        for life in node.lives:
            lines = life.log.read_bytes().splitlines()
            last = len(lines) - LAST_LINES if life is node.lives[-1] else len(lines)
            for number, line in enumerate(lines):
                if number >= last or any(name in line for name in names):
                    with suppress(msgspec.DecodeError, KeyError):
                        told = msgspec.json.decode(line, type=dict[str, Any])
                        at = _at(told.pop("time"), life)
                        yield f"{at:.3f} log of {node.name} ({life.pid}): {told.pop('event')} {told}"


def _check_bounds(node: Node) -> None:
    deadline = time.monotonic() + SCRATCH_SECONDS
    while left := list(node.service.scratch.glob("gf-images-*/work/*/*")):
        if time.monotonic() < deadline:  # a check of the readiness renders a tiny picture
            time.sleep(LOOK_EVERY_SECONDS)
            continue
        raise Violation(f"{node.name} is idle, and has left {left}")
    if (resident := node.resident_bytes()) > MOST_RESIDENT_BYTES:
        raise Violation(f"{node.name} has {resident >> 20} MiB resident")
