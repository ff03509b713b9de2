"""Measures every page with many originals and jobs: CPU time and time of a response, inside the service's process.

It also compares what a service holds at rest with its pages and without them.

python -m tests.benchmarks.pages --originals 20000 --jobs 5000
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import statistics
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click
import httpx
import structlog

from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, started
from proxy.app.asgi import create_app
from proxy.app.lifecycle import running
from proxy.app.wiring import build
from proxy.settings.settings import Settings
from proxy.settings.sizes import SIZES_FILE, read_sizes
from tests.held import resident_bytes
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS: Final = 9
MEMORY_ROUNDS: Final = 3
REST_SECONDS: Final = 3.0
KEY: Final = "gall/{0}/{0}_1_original.jpg"


@click.command()
@click.option("--originals", default=20_000, show_default=True)
@click.option("--jobs", default=5_000, show_default=True)
def main(originals: int, jobs: int) -> None:
    """Print the median of each page, in milliseconds."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder), originals, jobs))
    _compare_memory()


async def _measure(folder: Path, originals: int, jobs: int) -> None:
    settings = replace(
        Settings(
            store=f"file://{folder}/store",
            queue=f"sqlite:////{folder}/queue.db",
            metrics_port=0,
            ui=True,
            sizes=read_sizes(Path(SIZES_FILE)),
        )
    )
    components = build(settings)
    app = httpx.ASGITransport(create_app(components, settings))  # type: ignore[arg-type] # the same protocol
    _plant_originals(folder, originals)
    async with (
        running(components, settings),
        httpx.AsyncClient(transport=app, base_url="http://127.0.0.1", timeout=60) as client,
    ):
        job_id = await _job(client)
        _plant_jobs(folder / "queue.db", job_id, jobs)
        middle = KEY.format(originals // 2)
        pages = [
            "/",
            "/jobs",
            "/jobs?status=error",
            "/jobs?status=done",
            "/jobs?key=gall%2F12",
            f"/jobs/{job_id}",
            "/pictures",
            "/pictures?prefix=gall%2F",
            f"/pictures?prefix=gall%2F&after={middle}",
            f"/pictures/{KEY.format(0)}",
            "/status",
        ]
        for path in pages:
            await _time(client, path)


def _compare_memory() -> None:
    """Print what a service holds at rest, with the pages and without them, by turns."""
    held: dict[str, list[float]] = {"false": [], "true": []}
    for _ in range(MEMORY_ROUNDS):
        for ui, values in held.items():
            with TemporaryDirectory() as folder, started(Service(folder=Path(folder), settings={"UI": ui})) as service:
                assert service.process is not None
                time.sleep(REST_SECONDS)
                values.append(resident_bytes(service.process.pid) / 1_000_000)
    without, with_pages = (statistics.median(values) for values in held.values())
    print(
        f"at rest: UI=false {without:.1f} MB, UI=true {with_pages:.1f} MB, {with_pages - without:+.1f} MB", flush=True
    )


async def _job(client: httpx.AsyncClient) -> str:
    """Return the id of a job that is done."""
    posted = await client.post("/v1/jobs", json={"key": KEY.format(0)})
    job_id = str(posted.json()["id"])

    async def ended() -> str | None:
        return job_id if (await client.get(f"/v1/jobs/{job_id}")).json()["finished_at"] else None

    return await until(ended)


async def _time(client: httpx.AsyncClient, path: str) -> None:
    wall: list[float] = []
    cpu: list[float] = []
    size = 0
    for _ in range(RUNS):
        began, began_cpu = time.perf_counter(), time.process_time()
        answer = await client.get(path)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
        size = len(answer.content)
        if answer.is_error:
            raise RuntimeError(f"{path}: {answer.status_code}")
    print(f"{path:60} {_milliseconds(cpu)} ms CPU {_milliseconds(wall)} ms {size:7,} bytes", flush=True)


def _milliseconds(values: Sequence[float]) -> str:
    return f"{1000 * statistics.median(values):7.1f}"


def _plant_originals(folder: Path, number: int) -> None:
    photo = folder / "photo.jpg"
    paint(photo, Photograph(width=64, height=48))
    body = photo.read_bytes()
    for index in range(number):
        path = folder / "store" / KEY.format(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def _plant_jobs(file: Path, job_id: str, number: int) -> None:
    """Copy a job that is done, under other ids and keys; every tenth has failed."""
    with sqlite3.connect(file, timeout=30) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(jobs)")]
        row = dict(
            zip(columns, database.execute("SELECT * FROM jobs WHERE key = ?", (job_id,)).fetchone(), strict=True)
        )
        for index in range(1, number):
            key, life = f"{index:032x}", row["life"] - index
            body = (
                str(row["body"])
                .replace(job_id, key)
                .replace(str(row["life"]), str(life))
                .replace("gall/0/0_", f"gall/{index}/{index}_")
            )
            if index % 10 == 0:
                body = body.replace(
                    '"derivatives": [', '"error": {"code": "corrupt", "detail": "Broken."}, "derivatives": [', 1
                )
            planted = {**row, "sequence": None, "key": key, "life": life, "body": body}
            marks = ", ".join("?" * len(columns))
            database.execute(f"INSERT INTO jobs VALUES ({marks})", [planted[name] for name in columns])  # noqa: S608 - marks


if __name__ == "__main__":
    main()
