"""Jobs and the state of the queue, as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.markup import escape

from proxy.cli.tables import new_table, print_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from proxy.http.routes.operations import QueueState
    from proxy.jobs.job import Job
    from proxy.jobs.takedown.receipt import TakedownReceipt


def print_jobs(jobs: Sequence[Job]) -> None:
    """Print one line for each job."""
    columns = ("id", "key", "status", "tries", "queued (UTC)", "error", "callback")
    table = new_table(*columns, whole=("id", "error"))
    for job in jobs:
        problem = job.error or job.retry
        row = (job.id, escape(job.key), job.status, str(job.attempts), _time(job.created_at))
        table.add_row(*row, problem.code if problem else "", job.callback.status if job.callback else "")
    if jobs:
        print_tables(table)


def print_job(job: Job) -> None:
    """Print every field of a job."""
    table = new_table("field", "value", has_head=False)
    for name, value in _fields(job):
        if value:
            table.add_row(name, escape(value))
    print_tables(table)


def print_queue(state: QueueState) -> None:
    """Print the state of the queue in a line."""
    waiting = f"{state.waiting} waiting" + (f", the oldest for {state.oldest_seconds:.0f} s" if state.waiting else "")
    paused = f"paused since {_time(state.paused_since)} UTC" if state.paused_since else "running"
    click.echo(f"queue: {paused}; {waiting}; {state.workers} jobs at a time")


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
        yield from _receipt(job.takedown, has_ended=job.status == "done")
    yield "sizes", ", ".join(f"{one.size} {one.status}" for one in job.sizes)
    for made in job.derivatives:
        yield made.size, f"{made.width} x {made.height}, {made.bytes:,} bytes, {made.content_type}, {made.url}"


def _receipt(takedown: TakedownReceipt, *, has_ended: bool) -> Iterator[tuple[str, str]]:
    if has_ended and not takedown.removed:
        yield "removed", "nothing: the store had no file of this picture. Is the key right?"
    for blob in takedown.removed:
        yield "removed", f"{blob.key}, versions: {len(blob.versions)}, {blob.bytes:,} bytes"
    for address in takedown.addresses:
        purged = ", purged" if address.purged else ""
        yield "address", f"{address.url}: {address.status or 'not checked'}{purged}"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
