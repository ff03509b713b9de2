"""Measures how many known page views a second one core redirects, beside a bare application that redirects.

    python -m tests.benchmarks.redirect [--connections 64] [--seconds 5] [--rounds 3]

Both run under the same settings of uvicorn on the same core, by turns; wrk (Debian's package of that name) asks from
another one. Ends with 1 if ours is below the bar.
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
from typing import TYPE_CHECKING, Literal

import click
import httpx

from loadtest.servers.ports import free_port
from loadtest.servers.service import Service, started
from tests.benchmarks.redirect import wrk
from tests.planted import plant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LEAST_RATIO, MOST_P99_MILLISECONDS = 0.7, 10.0
ROOT = Path(__file__).parents[3]
SERVED_ON, ASKED_FROM = 0, 1
"""Cores."""
OURS, BARE, EQUAL = "ours", "bare ASGI", "same headers"
"""The service; a redirect of three headers; a redirect of as many headers as the service sends."""
START_SECONDS = 20.0
SIZES = ("small", "medium", "large", "xlarge")


@click.command()
@click.option("--connections", default=64, show_default=True, help="How many ask at once.")
@click.option("--seconds", default=4, show_default=True, help="How long a round takes.")
@click.option("--rounds", default=5, show_default=True, help="How often each is measured, in turns.")
@click.option("--originals", default=500, show_default=True, help="How many originals are asked for, at four sizes.")
def main(connections: int, seconds: int, rounds: int, originals: int) -> None:
    """Ask for known derivatives, as fast as the answers come."""
    with tempfile.TemporaryDirectory(prefix="gf-images-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        service = Service(folder=folder, settings={"WORKERS": "0", "PUBLIC_BASE_URL": "https://images.example.org"})
        paths = _put_derivatives(service, originals)
        stack.enter_context(started(service))
        _pin(service)
        urls = {
            OURS: service.url,
            BARE: stack.enter_context(_peer()),
            EQUAL: stack.enter_context(_peer("all-headers")),
        }
        script = folder / "paths.lua"
        wrk.write_script(script, paths)
        _warm_up(service, paths)
        runs: dict[str, list[wrk.Run]] = {who: [] for who in urls}
        for _ in range(rounds):
            for who, url in urls.items():
                run = wrk.run(url, script, core=ASKED_FROM, connections=connections, seconds=seconds)
                runs[who].append(run)
    sys.exit(_show(runs, connections=connections))


def _put_derivatives(service: Service, originals: int) -> list[str]:
    """Put what page views will find into the folder of the store; tell their paths."""
    picture = service.folder / "picture"
    picture.write_bytes(b"\xff\xd8\xff")
    paths, keys = [], []
    for number in range(originals):
        key = f"gall/{number}/{number}_1586986467_original.jpg"
        for size in SIZES:
            keys.append(key.replace("original", size))
            paths.append(f"/img/{key}/{size}")
    asyncio.run(plant(service.store, keys, picture))
    return paths


def _pin(service: Service) -> None:
    if service.process is None:
        raise RuntimeError("The service does not run.")
    for task in Path(f"/proc/{service.process.pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {SERVED_ON})


def _warm_up(service: Service, paths: Sequence[str]) -> None:
    with httpx.Client(base_url=service.url) as client:
        for path in paths:
            answer = client.get(path)
            if answer.status_code != httpx.codes.FOUND:
                raise RuntimeError(f"{path} was answered {answer.status_code}: {answer.text}")


@contextmanager
def _peer(*words: str) -> Iterator[str]:
    port = free_port()
    program = [sys.executable, "-m", "tests.benchmarks.redirect.peer", str(port), *words]
    command = ["taskset", "-c", str(SERVED_ON), *program]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("The bare application did not start.")


def _show(runs: dict[str, list[wrk.Run]], *, connections: int) -> bool:
    """Print the medians of the rounds; tell whether ours misses the bar."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{connections} connections, {len(runs[OURS])} rounds in turns; medians of the rounds; load averages {load}")
    print(f"{'':14} {'requests/s':>12} {'median ms':>10} {'p99 ms':>10}   each round")
    for who, each in runs.items():
        rounds = " ".join(f"{one.per_second:.0f}" for one in each)
        print(
            f"{who:14} {_median(each, 'per_second'):12.0f} {_median(each, 'median'):10.2f} {_median(each, 'p99'):10.2f}"
            f"   {rounds}"
        )
    ratio = _median(runs[OURS], "per_second") / _median(runs[BARE], "per_second")
    p99 = _median(runs[OURS], "p99")
    equal = _median(runs[OURS], "per_second") / _median(runs[EQUAL], "per_second")
    print(
        f"bar: at least {LEAST_RATIO:g} of the bare application, measured {ratio:.2f}; {equal:.2f} of the same headers"
    )
    print(f"bar: p99 below {MOST_P99_MILLISECONDS:g} ms, measured {p99:.2f} ms")
    return ratio < LEAST_RATIO or p99 > MOST_P99_MILLISECONDS


def _median(runs: Sequence[wrk.Run], name: Literal["per_second", "median", "p99"]) -> float:
    return statistics.median([float(getattr(run, name)) for run in runs])


if __name__ == "__main__":
    main()
