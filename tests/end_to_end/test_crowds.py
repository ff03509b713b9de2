"""Many posts at the same moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest import demo
from loadtest.servers.service import Service, order, running, signed, started
from tests.end_to_end.senders import all_ended, check_store, metric, paint_originals, write_sizes
from tests.thorough import count
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

pytestmark = pytest.mark.anyio

ORIGINALS, POSTS = count(100, otherwise=25), count(1000, otherwise=250)
QUEUE_SIZE, TOO_MANY = 64, count(200, otherwise=100)
CONNECTIONS = 250
"""At once: a sender on a slow machine that opens more takes so long until it sends that the service closes them."""


def upload(service: Service, photos: Sequence[Path], *, originals: int) -> list[str]:
    keys = [f"gall/{number}/{number}_1_original.jpg" for number in range(originals)]
    for number, key in enumerate(keys):
        service.put(key, photos[number % len(photos)])
    return keys


async def post_all(posts: Sequence[tuple[Service, str, str | None]]) -> list[httpx.Response]:
    """Post jobs at once, each for a key to a service, with a message id of its own or that given."""
    timeout = httpx.Timeout(60, pool=None)  # posts wait for one of the connections as long as it takes
    async with httpx.AsyncClient(timeout=timeout, limits=httpx.Limits(max_connections=CONNECTIONS)) as client:

        async def post(service: Service, key: str, message_id: str | None) -> httpx.Response:
            body = order(key)
            headers = signed(body, message_id=message_id)
            return await client.post(f"{service.url}/v1/jobs", content=body, headers=headers)

        return await asyncio.gather(*(post(*one) for one in posts))


def check_refusals(answers: Sequence[httpx.Response]) -> None:
    """See that whoever was not accepted was told when to come back."""
    refused = [answer for answer in answers if answer.status_code != httpx.codes.ACCEPTED]
    assert {answer.status_code for answer in refused} == {httpx.codes.SERVICE_UNAVAILABLE}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert {answer.json()["type"] for answer in refused} == {"/problems/busy"}


async def until_counted(service: Service, name: str, count: int) -> None:
    """Return when a series has come to that: it follows the queue by a moment."""

    async def look() -> bool:
        return metric(service, name) == count

    await until(look)


async def test_ten_posts_of_each_original_at_once_are_one_render_each(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with running(tmp_path, QUEUE_SIZE="1000", SIZES_FILE=str(write_sizes(tmp_path))) as service:
        keys = upload(service, paint_originals(tmp_path), originals=ORIGINALS)
        answers = await post_all([(service, keys[number % ORIGINALS], None) for number in range(POSTS)])
        assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}
        locations = {answer.headers["location"] for answer in answers}
        jobs = all_ended(service, locations)
        assert {(job.status, len(job.derivatives)) for job in jobs} == {("done", 4)}
        assert metric(service, "render_seconds_count") == ORIGINALS
        check_store(service.store, keys)
    record_property("counts", f"posts {POSTS}, originals {ORIGINALS}, jobs {len(jobs)}, renders {ORIGINALS}")


async def test_a_webhook_that_is_delivered_five_times_is_one_job(tmp_path: Path) -> None:
    with running(tmp_path, SIZES_FILE=str(write_sizes(tmp_path))) as service:
        (key,) = upload(service, paint_originals(tmp_path), originals=1)
        answers = await post_all([(service, key, "msg_1")] * 5)
        (location,) = {answer.headers["location"] for answer in answers}
        job = demo.ended(service, location)
        (again,) = await post_all([(service, key, "msg_1")])
        assert (again.headers["location"], again.json()["status"]) == (location, "done")
        assert job.attempts == 1
        await until_counted(service, "jobs_total", 1)
        assert metric(service, "render_seconds_count") == 1


async def test_exactly_as_many_are_accepted_as_may_wait(tmp_path: Path) -> None:
    settings = {"QUEUE_SIZE": str(QUEUE_SIZE), "SIZES_FILE": str(write_sizes(tmp_path))}
    with started(Service(folder=tmp_path, settings={**settings, "WORKERS": "0"})) as service:
        keys = upload(service, paint_originals(tmp_path), originals=TOO_MANY)
        answers = await post_all([(service, key, None) for key in keys])
        accepted = [answer for answer in answers if answer.status_code == httpx.codes.ACCEPTED]
        assert len({answer.headers["location"] for answer in accepted}) == QUEUE_SIZE
        check_refusals(answers)
        await until_counted(service, "queue_depth", QUEUE_SIZE)
    with started(
        Service(folder=tmp_path, settings=settings)
    ) as service:  # those that were accepted are worked, and nothing else is
        taken = {answer.json()["key"] for answer in accepted}
        jobs = all_ended(service, [answer.headers["location"] for answer in accepted])
        assert {job.status for job in jobs} == {"done"}
        await until_counted(service, "jobs_total", QUEUE_SIZE)
        for key in set(keys) - taken:
            (service.store / key).unlink()
        check_store(service.store, sorted(taken))


async def test_two_machines_accept_at_most_one_too_many_and_one_job_of_a_webhook(queue: str, tmp_path: Path) -> None:
    """The bound and the same-original rule are each machine's own; the webhook's id is the queue's.

    So `machines - 1` jobs may wait beyond the bound, and an original that is posted to both in the same moment under
    two ids may get two jobs, of which the second finds the derivatives fresh, or makes them again with the same bytes.
    """
    settings = {
        "QUEUE": queue,
        "QUEUE_SIZE": str(QUEUE_SIZE),
        "WORKERS": "0",
        "SIZES_FILE": str(write_sizes(tmp_path)),
        "STORE": f"file://{tmp_path}/one/store",
    }
    both = [Service(folder=tmp_path / name, settings=settings) for name in ("one", "two")]
    with ExitStack() as machines:
        for machine in both:
            machines.enter_context(started(machine))
        keys = upload(both[0], paint_originals(tmp_path), originals=TOO_MANY)
        same = await post_all([(both[number % 2], keys[0], "msg_1") for number in range(20)])
        assert len({answer.headers["location"] for answer in same}) == 1
        answers = await post_all([(both[number % 2], key, None) for number, key in enumerate(keys[1:])])
        accepted = Counter(answer.status_code for answer in answers)[httpx.codes.ACCEPTED]
        assert QUEUE_SIZE <= 1 + accepted <= QUEUE_SIZE + 1
        check_refusals(answers)
        for machine in both:
            await until_counted(machine, "queue_depth", 1 + accepted)
