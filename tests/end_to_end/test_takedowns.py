"""Takedowns whose process is killed at each step: they are finished after the restart, with one receipt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx
import pytest

from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, order, signed, starting
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.servers.receiver import Receiver
    from proxy.system.failpoints import Point

POINTS: Final[tuple[Point, ...]] = ("job-enqueued", "takedown-removed", "takedown-purged", "job-ended")
KEY = "gall/{number}/{number}_1_original.jpg"

pytestmark = pytest.mark.timeout(600)


async def ended(service: Service, job_id: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        async with httpx.AsyncClient() as client:
            job: dict[str, Any] = (await client.get(f"{service.url}/v1/jobs/{job_id}")).json()
        return job if job.get("finished_at") else None

    return await until(look, seconds=60)


def post(service: Service, key: str) -> str:
    body = order(key)
    return str(httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body)).raise_for_status().json()["id"])


def take_down(service: Service, key: str, receiver: Receiver) -> httpx.Response:
    """Request a takedown; each repetition is the same message."""
    address = f"/v1/images/{quote(key)}?callback_url={quote(receiver.url, safe='')}"
    headers = signed(f"DELETE {address}".encode(), message_id=f"msg_{quote(key)}")
    return httpx.delete(f"{service.url}{address}", headers=headers, timeout=30)


def test_a_takedown_is_finished_after_its_process_was_killed_at_any_step(tmp_path: Path, receiver: Receiver) -> None:
    orders = tmp_path / "orders"
    settings = {"FAILPOINTS": str(orders), "CALLBACK_HOSTS": receiver.listed, "STREAM_CACHE_MB": "0"}
    service = Service(folder=tmp_path, settings=settings)
    photo = tmp_path / "photo.jpg"
    paint(photo, Photograph(width=480, height=360))
    with starting(service):
        for number, point in enumerate(POINTS):
            service.wait_until_ready()
            key = KEY.format(number=number)
            service.put(key, photo)
            assert asyncio.run(ended(service, post(service, key)))["status"] == "done"
            orders.write_text(f"{point} kill {key}")
            try:
                take_down(service, key, receiver)
            except httpx.TransportError:
                assert point == "job-enqueued"
            assert service.process is not None
            service.process.wait(timeout=60)
            service.start()
            service.wait_until_ready()
            job = asyncio.run(ended(service, take_down(service, key, receiver).raise_for_status().json()["id"]))
            assert (job["status"], job["error"]) == ("done", None), point
            assert {one["bytes"] > 0 for one in job["takedown"]["removed"]} == {True}
            assert len(job["takedown"]["removed"]) == 5
            assert not (service.store / key).parent.exists(), point
        wanted = {KEY.format(number=number) for number in range(len(POINTS))}

        async def receipts() -> bool:
            return {one.event.data["key"] for one in receiver.taken() if one.event.type == "takedown.done"} == wanted

        asyncio.run(until(receipts, seconds=90))
    assert len({one.id for one in receiver.taken()}) == len(POINTS)
