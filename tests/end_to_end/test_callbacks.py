"""The end of every accepted job is told, whatever happens to the service."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import httpx

from loadtest.paint import Photograph, paint
from loadtest.servers.receiver import receiving
from loadtest.servers.service import Service, order, running, signed
from tests.thorough import count

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS, JOBS = count(8, otherwise=2), 6

TOLD_SECONDS = 100.0
"""A promise is looked at once a minute; a service that was killed starts within some seconds."""


def post(service: Service, key: str, *, callback_url: str) -> str:
    body = order(key, callback_url=callback_url)
    answer = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body))
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.json()["id"])


def test_killed_at_random_moments_the_service_still_tells_the_end_of_every_job_it_accepted(tmp_path: Path) -> None:
    paint(tmp_path / "photo.jpg", Photograph(width=1200, height=900))
    dice = random.Random(5)  # noqa: S311 - when to kill, no secret
    accepted: set[str] = set()
    with receiving(statuses=(500,)) as receiver, running(tmp_path, CALLBACK_HOSTS=receiver.listed) as service:
        for round_ in range(ROUNDS):
            for number in range(JOBS):
                key = f"{round_}/{number}_original.jpg"
                service.put(key, tmp_path / "photo.jpg")
                accepted.add(post(service, key, callback_url=receiver.url))
            moment = time.monotonic() + dice.uniform(0, 1)
            receiver.wait_for(accepted, seconds=moment - time.monotonic())
            service.kill()
            service.start()
            service.wait_until_ready()
        assert receiver.wait_for(accepted, seconds=TOLD_SECONDS)
        times = len(receiver.taken())
    assert receiver.jobs() == accepted
    assert {got.event.type for got in receiver.received} == {"job.done"}
    assert receiver.forged == 0
    print(f"{len(accepted)} jobs accepted, {ROUNDS} kills, {times} callbacks taken")  # noqa: T201 - the count is asked for
