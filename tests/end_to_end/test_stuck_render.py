"""While every render hangs, what needs none is answered."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from loadtest import demo
from loadtest.paint import Photograph, paint
from loadtest.servers.service import order, running, signed
from tests.end_to_end.senders import metric
from tests.planted import plant
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

KNOWN, STUCK = "gall/1/1_1_original.jpg", "gall/2/2_1_original.jpg"
IDLE_BYTES = 30_000_000
"""What the service counts while nothing renders: more of its budget is taken once a render has begun."""


async def test_hits_redirects_health_and_metrics_wait_for_no_render(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    paint(photo, Photograph(width=64, height=48))
    with running(tmp_path, WORKERS="1") as service:
        for key in (KNOWN, STUCK):
            service.put(key, photo)
        await plant(service.store, ["gall/1/1_1_small.jpg"], photo)
        processes = service.children()
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        async with httpx.AsyncClient(base_url=service.url, timeout=5) as client:
            body = order(STUCK)
            job = await client.post("/v1/jobs", content=body, headers=signed(body))

            async def is_at_work() -> bool:
                return metric(service, "render_reserved_bytes") > IDLE_BYTES

            await until(is_at_work)
            for _ in range(2):
                for size in ("small", "original"):
                    assert (await client.get(f"/img/{KNOWN}/{size}")).status_code == httpx.codes.FOUND
            for health in ("/healthz", "/readyz"):
                assert (await client.get(health)).status_code == httpx.codes.OK
            assert (await client.get(job.headers["location"])).json()["status"] == "processing"
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
            assert demo.ended(service, job.headers["location"]).status == "done"
