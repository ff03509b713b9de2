"""A service that is killed at any moment, many times, and has promised nothing that it does not keep."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from loadtest.servers.service import Service, starting
from tests.end_to_end.senders import (
    Senders,
    check_callbacks,
    check_store,
    counts,
    is_running,
    jobs_done,
    leftovers,
    paint_originals,
    write_sizes,
)
from tests.thorough import count
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loadtest.servers.receiver import Receiver

KILLS = count(100, otherwise=15)
STARTING_SECONDS, WORKING_SECONDS = 1.5, 0.5
"""A kill falls within that time after a start, or after the first job that was accepted since."""


@pytest.mark.timeout(900)
def test_every_accepted_job_is_done_however_often_the_service_is_killed(
    tmp_path: Path, receiver: Receiver, record_property: Callable[[str, object], None]
) -> None:
    moments = random.Random(time.time_ns())  # noqa: S311 - moments, no secret
    settings = {"SIZES_FILE": str(write_sizes(tmp_path)), "CALLBACK_HOSTS": receiver.listed}
    service = Service(folder=tmp_path, settings=settings)
    senders = Senders(service, paint_originals(tmp_path), receiver)
    render_pool: set[int] = set()
    with starting(service):
        with senders.posting():
            for number in range(KILLS):
                if number % 4:
                    senders.wait_for_more()
                pause = moments.uniform(0, WORKING_SECONDS if number % 4 else STARTING_SECONDS)
                time.sleep(pause)  # the experiment itself
                render_pool |= service.children()
                (service.kill if number % 2 else service.cut_power)()
                service.start()
        service.wait_until_ready()
        jobs = jobs_done(senders)
        check_callbacks(receiver, jobs)
        assert service.stop() == 0
    derivatives = check_store(service.store, list(senders.accepted))
    assert leftovers(service) == []
    with sqlite3.connect(tmp_path / "queue.db") as queue:
        assert queue.execute("SELECT DISTINCT status FROM jobs WHERE queue = 'derivatives'").fetchall() == [
            ("complete",)
        ]
        assert queue.execute("SELECT count(*) FROM jobs WHERE queue = 'derivatives'").fetchone() == (len(jobs),)
    queue.close()

    async def all_gone() -> bool:
        return not any(map(is_running, render_pool))

    asyncio.run(until(all_gone))
    record_property("counts", counts(senders, jobs, kills=KILLS, derivatives=derivatives))
