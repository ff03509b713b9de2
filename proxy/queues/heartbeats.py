"""Detection of silent workers by the monotonic clock of the machine that watches.

The times in a job are those of its worker's clock, which may differ from ours, or be set back or forward. So they are
not compared with a clock. A heartbeat is a change of the stored time, and a worker is silent if we see no change.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from saq.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    Held: TypeAlias = Job | bytes | str
    """A job that a worker holds, or the stored form of one that cannot be read here."""

HEARTBEAT_SECONDS = 20
"""How long a job may run without a heartbeat before another worker takes it over; a job may set its own limit."""


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A run of a job and its last heartbeat, and since when we see each of them (monotonic seconds)."""

    run: Hashable
    run_since: float
    beat: Hashable
    beat_since: float


class Heartbeats:
    """The runs and heartbeats of one queue, as one process sees them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Sighting] = {}

    def silent(self, held: Mapping[str, Held]) -> set[str]:
        """Return which of the jobs that workers hold have had no heartbeat, or no end, for too long.

        `held` are all jobs that workers hold, by their keys. A job is silent at the second call at the earliest.
        """
        at = self._clock()
        self._seen = {key: _look(job, self._seen.get(key), at) for key, job in held.items()}
        return {key for key, job in held.items() if _is_silent(job, self._seen[key], at)}


def _look(job: Held, last: _Sighting | None, at: float) -> _Sighting:
    run = (job.started, job.attempts, job.worker_id) if isinstance(job, Job) else job
    beat = job.touched if isinstance(job, Job) else job
    if last is None or last.run != run:
        return _Sighting(run, at, beat, at)
    return last if last.beat == beat else replace(last, beat=beat, beat_since=at)


def _is_silent(job: Held, seen: _Sighting, at: float) -> bool:
    heartbeat, timeout = (job.heartbeat, job.timeout) if isinstance(job, Job) else (HEARTBEAT_SECONDS, 0)
    return bool((heartbeat and at - seen.beat_since > heartbeat) or (timeout and at - seen.run_since > timeout))
