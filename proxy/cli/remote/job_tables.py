"""Jobs and the state of the queue, as tables for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from proxy.http.routes.operations import QueueState
    from proxy.jobs.job import Job

WIDE = 500
"""Width of a table if standard output is not a terminal: nothing is truncated."""


def print_jobs(jobs: Sequence[Job]) -> None:
    """Print one line for each job."""
    table = Table("id", "key", "status", "tries", "queued (UTC)", "error", "callback", box=None, pad_edge=False)
    for job in jobs:
        problem = job.error or job.retry
        row = (job.id, escape(job.key), job.status, str(job.attempts), _time(job.created_at))
        table.add_row(*row, problem.code if problem else "", job.callback.status if job.callback else "")
    if jobs:
        console().print(table)


def print_job(job: Job) -> None:
    """Print every field of a job."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in _fields(job):
        if value:
            table.add_row(name, escape(value))
    console().print(table)


def print_queue(state: QueueState) -> None:
    """Print the state of the queue in a line."""
    waiting = f"{state.waiting} waiting" + (f", the oldest for {state.oldest_seconds:.0f} s" if state.waiting else "")
    paused = f"paused since {_time(state.paused_since)} UTC" if state.paused_since else "running"
    console().print(f"queue: {paused}; {waiting}; {state.workers} jobs at a time", highlight=False)


def console() -> Console:
    """Return a console for standard output, on which nothing is truncated if it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else WIDE)


def _fields(job: Job) -> Iterator[tuple[str, str]]:
    yield "id", job.id
    yield "key", job.key
    yield "status", job.status
    yield "attempts", str(job.attempts)
    yield "queued", _time(job.created_at)
    yield "started", _time(job.started_at)
    yield "ended", _time(job.finished_at)
    if job.error:
        yield "error", f"{job.error.code}: {job.error.detail}"
    if job.retry:
        yield "retry", f"{_time(job.retry.at)}, after {job.retry.code}: {job.retry.detail}"
    if (callback := job.callback) is not None:
        last = [f"last attempt {_time(callback.at)}"] if callback.at else []
        yield "callback", "; ".join([f"{callback.status}, to {callback.host}", *last, *filter(None, [callback.detail])])
    if job.takedown is not None:
        for blob in job.takedown.removed:
            yield "removed", f"{blob.key}, versions: {len(blob.versions)}, {blob.bytes:,} bytes"
        for address in job.takedown.addresses:
            purged = ", purged" if address.purged else ""
            yield "address", f"{address.url}: {address.status or 'not checked'}{purged}"
    yield "sizes", ", ".join(f"{one.size} {one.status}" for one in job.sizes)
    for made in job.derivatives:
        yield made.size, f"{made.width} x {made.height}, {made.bytes:,} bytes, {made.content_type}, {made.url}"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
