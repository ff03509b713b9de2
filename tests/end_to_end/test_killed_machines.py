"""Machines that die while they work on one queue: their jobs are taken over, none is lost."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from loadtest.servers.service import Service, started
from tests.end_to_end.senders import (
    Senders,
    check_callbacks,
    check_store,
    counts,
    jobs_done,
    leftovers,
    metric,
    paint_originals,
    write_sizes,
)
from tests.thorough import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loadtest.servers.receiver import Receiver

KILLS = count(20, otherwise=5)
WORKING_SECONDS = 0.5
"""A kill falls within that time after a job was accepted."""

JOBS = count(200, otherwise=60)

TAKEN_OVER_SECONDS = 200
"""The bound of a machine that has much else to do; an idle one took 22 s."""

pytestmark = pytest.mark.timeout(600)


@contextmanager
def machines(folder: Path, queue: str, receiver: Receiver) -> Iterator[tuple[Service, list[Service]]]:
    """Lend one machine that takes posts and two that work, on one queue and one store."""
    settings = {
        "QUEUE": queue,
        "SIZES_FILE": str(write_sizes(folder)),
        "STORE": f"file://{folder}/front/store",
        "CALLBACK_HOSTS": receiver.listed,
    }
    front = Service(folder=folder / "front", settings={**settings, "WORKERS": "0"})
    workers = [Service(folder=folder / name, settings=settings, command="worker") for name in ("one", "two")]
    with ExitStack() as running:
        for machine in (front, *workers):
            running.enter_context(started(machine))
        yield front, workers


def test_every_accepted_job_is_done_however_often_a_worker_is_killed(
    queue: str, tmp_path: Path, receiver: Receiver, record_property: Callable[[str, object], None]
) -> None:
    moments = random.Random(time.time_ns())  # noqa: S311 - moments, no secret
    with machines(tmp_path, queue, receiver) as (front, workers):
        senders = Senders(front, paint_originals(tmp_path), receiver)
        with senders.posting():
            for _ in range(KILLS):
                victim = moments.choice(workers)
                victim.wait_until_ready()
                senders.wait_for_more()
                time.sleep(moments.uniform(0, WORKING_SECONDS))  # the experiment itself
                victim.cut_power()
                victim.start()
        last = time.monotonic()
        jobs = jobs_done(senders)
        seconds = time.monotonic() - last
        assert seconds < TAKEN_OVER_SECONDS
        check_callbacks(receiver, jobs)
        for machine in (front, *workers):
            machine.wait_until_ready()
            assert machine.stop() == 0
    derivatives = check_store(front.store, list(senders.accepted))
    assert [left for machine in (front, *workers) for left in leftovers(machine)] == []
    told = counts(senders, jobs, kills=KILLS, derivatives=derivatives)
    record_property("counts", f"{told}, all done {seconds:.0f} s after the last kill")


def test_no_job_is_worked_twice_by_workers_that_live(
    queue: str, tmp_path: Path, receiver: Receiver, record_property: Callable[[str, object], None]
) -> None:
    with machines(tmp_path, queue, receiver) as (front, workers):
        senders = Senders(front, paint_originals(tmp_path), receiver)
        with senders.posting():
            senders.wait_for_more(JOBS)
        jobs = jobs_done(senders)
        # One whose port somebody else took ends by itself, and is no worker that lives.
        assert [worker.process.poll() for worker in workers if worker.process] == [None, None]
        renders = [round(metric(worker, "render_seconds_count")) for worker in workers]
        assert sum(renders) == len(jobs)
        assert all(renders)
        assert {job.attempts for job in jobs} == {1}
        assert metric(front, "render_seconds_count") == 0
    record_property(
        "counts", counts(senders, jobs, **dict(zip(("renders of one", "of the other"), renders, strict=True)))
    )
