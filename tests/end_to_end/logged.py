"""The log of a service as its operator reads it, and jobs that put something there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import msgspec

from loadtest.servers.service import order, signed
from proxy.jobs.service import FUNCTION
from proxy.queues.factory import open_queue
from tests.waiting import until

if TYPE_CHECKING:
    from loadtest.servers.service import Service

Event = dict[str, object]


def lines(service: Service) -> list[Event]:
    """Read the log; every line is one event."""
    return [msgspec.json.decode(line, type=Event) for line in service.log.read_bytes().splitlines()]


def post(service: Service, key: str, *, callback_url: str = "") -> str:
    body = order(key, callback_url=callback_url)
    answer = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body))
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.json()["id"])


async def enqueue_nonsense(service: Service, *, callback_url: str = "") -> str:
    """Put a job into the queue, past the service, that no worker can read; return once it is set aside."""
    job_id = uuid4().hex
    queue = open_queue(f"sqlite:////{service.folder}/queue.db", name="derivatives")
    await queue.connect()
    nonsense = {"key": "gall/1_original.jpg", "sizes": 5, "callback_url": callback_url}
    await queue.enqueue(FUNCTION, key=job_id, kwargs=nonsense, timeout=60, retries=2, retry_delay=0.1, ttl=600)

    async def is_over() -> bool:
        written = service.log.read_text().splitlines()  # as JSON or for a console
        return any("job_set_aside" in line and job_id in line for line in written)

    await until(is_over)
    await queue.disconnect()
    return job_id
