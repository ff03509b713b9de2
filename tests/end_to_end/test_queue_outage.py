"""A queue's server that goes away for a while, or hangs, under a stream of posts."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from loadtest.servers.service import Service, order, signed, started, starting
from tests import servers
from tests.end_to_end.senders import Senders, check_store, counts, jobs_done, paint_originals, write_sizes
from tests.thorough import count
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import PostgresServer, RedisServer

    Change = Callable[[RedisServer | PostgresServer], None]

JOBS = count(30, otherwise=10)
"""As many before the queue goes away as after it is back."""

AWAY_SECONDS = 12.0
ANSWER_SECONDS = 5.0

READY_SECONDS = 6.0
"""What `/readyz` may take, with a second for the rest of it: a platform's patience."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.needs("redis-server", "redis-server")),
        pytest.param("postgres", marks=pytest.mark.needs("postgres", "postgresql")),
    ]
)
def mortal(request: pytest.FixtureRequest) -> Iterator[RedisServer | PostgresServer]:
    """Lend a server that this test alone uses."""
    with servers.running_redis() if request.param == "redis" else servers.running_postgres() as server:
        yield server


def kill(server: RedisServer | PostgresServer) -> None:
    server.kill()


def start(server: RedisServer | PostgresServer) -> None:
    server.start()


def freeze(server: RedisServer | PostgresServer) -> None:
    """Have it do nothing, while its kernel goes on to take connections and what is sent on them."""
    server.signal(signal.SIGSTOP)


def thaw(server: RedisServer | PostgresServer) -> None:
    server.signal(signal.SIGCONT)


def readiness(service: Service) -> int:
    return httpx.get(f"{service.url}/readyz", timeout=10).status_code


def asked(service: Service, *, location: str) -> list[httpx.Response]:
    """Post a job and ask for another, each of which has to be answered in time."""
    body = order("1_original.jpg")
    with httpx.Client(base_url=service.url, timeout=ANSWER_SECONDS) as client:
        return [client.post("/v1/jobs", content=body, headers=signed(body)), client.get(location)]


@pytest.mark.parametrize(("lose", "bring_back"), [(kill, start), (freeze, thaw)], ids=["killed", "frozen"])
def test_posts_are_told_to_come_back_and_workers_go_on_when_the_queue_is_back(
    mortal: RedisServer | PostgresServer,
    lose: Change,
    bring_back: Change,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    settings = {
        "QUEUE": mortal.make_database(),
        "SIZES_FILE": str(write_sizes(tmp_path)),
        "STORE": f"file://{tmp_path}/front/store",
    }
    front = Service(folder=tmp_path / "front", settings={**settings, "WORKERS": "0"})
    worker = Service(folder=tmp_path / "worker", settings=settings, command="worker")
    with ExitStack() as running:
        for machine in (front, worker):
            running.enter_context(started(machine))
        senders = Senders(front, paint_originals(tmp_path))
        with senders.posting():
            senders.wait_for_more(JOBS)
            lost = time.monotonic()
            lose(mortal)
            asyncio.run(until(lambda: many_refused(senders, since=lost)))
            for answer in asked(front, location=next(iter(senders.accepted.values()))):
                assert (answer.status_code, answer.json()["type"]) == (503, "/problems/queue-unavailable")
                assert answer.headers["content-type"] == "application/problem+json"
                assert int(answer.headers["retry-after"]) > 0
            began = time.monotonic()
            assert readiness(front) == httpx.codes.SERVICE_UNAVAILABLE
            assert time.monotonic() - began < READY_SECONDS
            bring_back(mortal)
            back = time.monotonic()
            senders.wait_for_more()
            again = time.monotonic()
            senders.wait_for_more(JOBS)
        assert readiness(front) == httpx.codes.OK
        jobs = jobs_done(senders)
        asyncio.run(until(lambda: has_told(worker, "queue_available")))
    check_store(front.store, list(senders.accepted))
    told = events(worker)
    assert (told.count("queue_unavailable"), told.count("queue_available")) == (1, 1)
    assert "periodic_task_failed" not in told
    assert events(front).count("queue_status_failed") == 1
    record_property(
        "counts",
        f"{counts(senders, jobs)}, away for {back - lost:.1f} s, first job accepted {again - back:.1f} s after",
    )


async def many_refused(senders: Senders, *, since: float) -> bool:
    return senders.answers["503"] > 0 and time.monotonic() - since > AWAY_SECONDS


async def has_told(service: Service, event: str) -> bool:
    return event in events(service)


def events(service: Service) -> list[object]:
    lines = [msgspec.json.decode(line, type=dict[str, object]) for line in service.log.read_bytes().splitlines()]
    return [line["event"] for line in lines]


def test_a_service_whose_queue_does_not_answer_says_so_and_goes(tmp_path: Path) -> None:
    for url in ("redis://:hunter2@127.0.0.1:1", "postgresql://user:hunter2@127.0.0.1:1/queue"):
        service = Service(folder=tmp_path, settings={"QUEUE": url})
        with starting(service):
            assert service.process is not None
            assert service.process.wait(timeout=30) == 1
        log = service.log.read_text()
        assert "127.0.0.1:1" in (said := log.splitlines()[-1])
        assert "cannot be reached: Connection refused (ECONNREFUSED); start that server" in said
        assert "Traceback" not in log
        assert "hunter2" not in log
