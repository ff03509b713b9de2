"""A crowd of jobs beside page views on a machine of 256 MB: what came of them, and what it took."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import httpx
import msgspec

from loadtest import demo
from loadtest.paint import Photograph, paint
from loadtest.servers.groups import memory_group
from loadtest.servers.service import Service, order, signed, started
from loadtest.viewers import viewing
from tests.planted import plant
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from loadtest.servers.groups import Group
    from loadtest.viewers import Views

MACHINE_BYTES = 256 << 20
VIEWS_A_SECOND = 50.0
KNOWN = 20
"""How many derivatives the page views ask for, by turns; all are in the store."""
SETTINGS = {"QUEUE_SIZE": "1000", "RENDER_TIMEOUT_SECONDS": "300"}
LOOK_EVERY_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a crowd: its jobs, the views beside it, the most bytes held at a time, the processes killed."""

    jobs: Sequence[demo.Job]
    views: Views
    held_bytes: int
    kills: int
    seconds: float

    def told(self) -> str:
        """Say it in a line."""
        done = sum(job.status == "done" for job in self.jobs)
        p50, p99 = (self.views.percentile(part) * 1000 for part in (0.5, 0.99))
        return (
            f"{len(self.jobs)} jobs in {self.seconds:.0f} s, {done} done, {len(self.jobs) - done} refused; "
            f"{len(self.views.seconds)} page views, p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
            f"held at most {self.held_bytes / 1e6:.0f} MB; killed {self.kills}"
        )


async def crowd(folder: Path, photos: Sequence[Path], *, jobs: int, seconds: float) -> Outcome:
    """Post jobs for photographs, by turns, all at once, and look at pages until the last has ended.

    Raises:
        CannotMakeGroups: there are no machines of 256 MB to be had here.
        TimeoutError: they had not ended within `seconds`.
    """
    with (
        memory_group(MACHINE_BYTES) as group,
        started(Service(folder=folder, settings=SETTINGS, entry=group.entry)) as service,
    ):
        keys = [_uploaded(service, number, photo) for number, photo in enumerate(islice(cycle(photos), jobs))]
        began = time.monotonic()
        pages = await _known_pages(service, folder)
        async with viewing(service.port, pages, a_second=VIEWS_A_SECOND) as views, watched(group) as held:
            ended = await _all_ended(service, keys, seconds=seconds)
        took = time.monotonic() - began
        return Outcome(jobs=ended, views=views, held_bytes=max(held), kills=group.kills(), seconds=took)


def _uploaded(service: Service, number: int, photo: Path) -> str:
    key = f"gall/{number}/{number}_1_original{photo.suffix.lower()}"
    (service.store / key).parent.mkdir(parents=True)
    os.link(photo, service.store / key)
    return key


async def _known_pages(service: Service, folder: Path) -> list[str]:
    picture = folder / "known.jpg"
    paint(picture, Photograph(width=64, height=48))
    await plant(service.store, [f"known/{number}_1_small.jpg" for number in range(KNOWN)], picture)
    return [f"/img/known/{number}_1_original.jpg/small" for number in range(KNOWN)]


async def _all_ended(service: Service, keys: Sequence[str], *, seconds: float) -> list[demo.Job]:
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:

        async def post(key: str) -> str:
            body = order(key)
            answer = (await client.post("/v1/jobs", content=body, headers=signed(body))).raise_for_status()
            return str(answer.headers["location"])

        async def look(location: str) -> demo.Job | None:
            job = msgspec.json.decode((await client.get(location)).content, type=demo.Job)
            return job if job.status in {"done", "error"} else None

        locations = await asyncio.gather(*map(post, keys))
        return [await until(partial(look, location), seconds=seconds) for location in locations]


@asynccontextmanager
async def watched(group: Group) -> AsyncIterator[list[int]]:
    """Note what the group holds, again and again, as long as the block lasts."""
    held = [group.held_bytes()]

    async def watch() -> None:
        while True:
            held.append(group.held_bytes())
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield held
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
