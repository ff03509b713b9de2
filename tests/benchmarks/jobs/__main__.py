"""Measures how long a sender of jobs waits for its answer while photographs are rendered.

    python -m tests.benchmarks.jobs [--senders 30] [--posts 3000] [--rounds 3]

Prints medians and 99th percentiles beside two peers that were measured in turns with ours, on the same busy machine,
and what of it is the event loop's, the database's, the disk's; ends with 1 if ours is above the bar.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httpx

from loadtest.paint import Photograph, paint
from loadtest.servers.ports import free_port
from loadtest.servers.service import Service, order, running, signed
from tests.benchmarks.jobs.questions import asking
from tests.benchmarks.jobs.senders import Spent, measure, percentile, posts

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

BAR_MILLISECONDS = 50.0
ROOT = Path(__file__).parents[3]
PEERS = {"bare route": False, "bare route + fsync": True}
START_SECONDS = 20.0
PAUSES = {"10/s each": 0.1, "back to back": 0.0}
"""How long a sender rests between two posts: many uploads at once, or as much as the service can take at all."""
OURS = "ours, 10/s each"


@click.command()
@click.option("--senders", default=30, show_default=True, help="How many post at once.")
@click.option("--posts", "count", default=3000, show_default=True, help="How many posts a round.")
@click.option("--rounds", default=3, show_default=True, help="How often each is measured, in turns.")
@click.option("--renders", default=400, show_default=True, help="Photographs of 24 megapixels that are rendered.")
def main(senders: int, count: int, rounds: int, renders: int) -> None:
    """Post signed jobs at a real service on its own SQLite queue while two photographs at a time are rendered."""
    with tempfile.TemporaryDirectory(prefix="gf-images-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        service = stack.enter_context(running(folder, QUEUE_SIZE="100000", WORKERS="2"))
        ports = {name: stack.enter_context(_peer(folder, durable=durable)) for name, durable in PEERS.items()}
        _keep_busy(service, folder, renders)
        rendered = _rendered(service)
        timings: dict[str, list[Spent]] = {}
        asked: dict[str, list[float]] = {}
        for number in range(rounds):
            for who, port in {"ours": service.port, **ports}.items():
                for load, pause in PAUSES.items():
                    written = posts(f"{who}-{load}-{number}".replace(" ", "-").replace("/", "-"), count)
                    run = measure(who, port=port, written=written, senders=senders, pause=pause)
                    said = f"{who}, {load}"
                    told = asyncio.run(_asking(run, service, asked) if said == OURS else run)
                    timings.setdefault(said, []).append(told)
        busy = _rendered(service) - rendered, _waiting(service)
    _show(timings, senders=senders, busy=busy)
    _show_parts(asked)
    sys.exit(_p99(timings[OURS]) > BAR_MILLISECONDS)


def _keep_busy(service: Service, folder: Path, renders: int) -> None:
    """Post jobs for large photographs; the workers take them before all that is posted later."""
    photo = folder / "photo.jpg"
    paint(photo, Photograph(width=6000, height=4000, noise=8))
    (service.store / "busy").mkdir(parents=True)
    with httpx.Client(base_url=service.url) as client:
        for number in range(renders):
            key = f"busy/{number}_original.jpg"
            os.link(photo, service.store / key)
            body = order(key)
            client.post("/v1/jobs", content=body, headers=signed(body)).raise_for_status()


def _rendered(service: Service) -> int:
    return len([*(service.store / "busy").glob("*_small.jpg")])


def _waiting(service: Service) -> int:
    return len([*(service.store / "busy").glob("*_original.jpg")]) - _rendered(service)


@contextmanager
def _peer(folder: Path, *, durable: bool) -> Iterator[int]:
    port = free_port()
    words = [str(port), *([str(folder / "posts")] if durable else [])]
    command = [sys.executable, "-m", "tests.benchmarks.jobs.peer", *words]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("A peer did not start.")


async def _asking(run: Coroutine[object, object, Spent], service: Service, asked: dict[str, list[float]]) -> Spent:
    async with asking(port=service.port, folder=service.folder) as seen:
        timings = await run
    for name, milliseconds in seen.items():
        asked.setdefault(name, []).extend(milliseconds)
    return timings


def _p99(rounds: list[Spent]) -> float:
    return statistics.median(one.percentile(0.99) for one in rounds)


def _show(timings: dict[str, list[Spent]], *, senders: int, busy: tuple[int, int]) -> None:
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{senders} senders, {len(timings[OURS])} rounds; median of the rounds; load averages {load}")
    print(f"{busy[0]} photographs of 24 MP were rendered meanwhile, {busy[1]} still waited at the end")
    print(f"{'':32} {'median ms':>10} {'p99 ms':>10} {'posts/s':>10} {'ours / it, p99':>15}")
    for who, rounds in timings.items():
        median = statistics.median(one.percentile(0.5) for one in rounds)
        rate = statistics.median(one.per_second for one in rounds)
        ratio = _p99(timings[f"ours, {who.rpartition(', ')[2]}"]) / _p99(rounds)
        print(f"{who:32} {median:10.1f} {_p99(rounds):10.1f} {rate:10.0f} {ratio:15.2f}")
    print(f"bar, at 10/s each: p99 below {BAR_MILLISECONDS:g} ms, measured {_p99(timings[OURS]):.1f} ms")


def _show_parts(asked: dict[str, list[float]]) -> None:
    print("asked for by themselves in the seconds of ours, 10/s each, all rounds together:")
    for name, milliseconds in asked.items():
        print(f"{name:38} median {percentile(milliseconds, 0.5):7.1f} ms, p99 {percentile(milliseconds, 0.99):7.1f} ms")


if __name__ == "__main__":
    main()
