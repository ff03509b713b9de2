"""Measures the CPU time of the service for a streamed derivative, beside another checkout by turns.

    python -m tests.benchmarks.stream [--base ../other] [--seconds 3] [--rounds 5]

wrk (Debian's package of that name) requests derivatives of a bucket and of a folder, which the service has read before.
The last lines are without the cache. With `--base`, it ends with 1 if the share of the base's CPU time is above the
bar. The base is a checkout with an installed `.venv`; a setting that it does not have has no effect there.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httpx

from loadtest.servers import seaweed
from loadtest.servers.service import Service, on_bucket, started
from tests.benchmarks.redirect import wrk
from tests.planted import plant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadtest.servers.seaweed import Seaweed

OURS, BASE = "ours", "base"
DERIVATIVES, PICTURE_BYTES, CONNECTIONS, ASKED_FROM = 100, 20_000, 16, 1
PROFILE = {"render-profile": "1-8.18-planted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is requested, and the highest share of the base's CPU time."""

    name: str
    is_bucket: bool
    is_unchanged: bool = False
    bar: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


CASES = (
    Case(name="bucket, 200", is_bucket=True, bar=0.3),
    Case(name="bucket, 304", is_bucket=True, is_unchanged=True, bar=0.1),
    Case(name="folder, 200", is_bucket=False, bar=0.3),
    Case(name="bucket, 200, no cache", is_bucket=True, settings={"STREAM_CACHE_MB": "0"}),
    Case(name="folder, 200, no cache", is_bucket=False, settings={"STREAM_CACHE_MB": "0"}),
)


@click.command()
@click.option("--base", type=click.Path(path_type=Path, exists=True), help="Another checkout to compare with.")
@click.option("--seconds", default=3, show_default=True, help="How long a round takes.")
@click.option("--rounds", default=5, show_default=True, help="How often each is measured, in turns.")
def main(base: Path | None, seconds: int, rounds: int) -> None:
    """Print microseconds of CPU time a request."""
    programs: dict[str, tuple[str, ...]] = {OURS: (sys.executable, "-m", "proxy")}
    if base:  # -P: not the code of the working directory
        programs[BASE] = (str(base.resolve() / ".venv/bin/python"), "-P", "-m", "proxy")
    is_missed = False
    with tempfile.TemporaryDirectory(prefix="gf-images-bench-") as name, seaweed.running(Path(name)) as weed:
        picture = Path(name, "picture")
        picture.write_bytes(b"\xff\xd8\xff" + os.urandom(PICTURE_BYTES - 3))
        keys = [f"gall/{number}/{number}_1_small.jpg" for number in range(DERIVATIVES)]
        for key in keys:
            weed.client().put_object(
                Bucket=seaweed.PUBLIC_BUCKET,
                Key=key,
                Body=picture.read_bytes(),
                ContentType="image/jpeg",
                Metadata=PROFILE,
            )
        for case in CASES:
            folder = Path(name, case.name.replace(" ", ""))
            folder.mkdir()
            costs = _measure(case, programs, folder=folder, weed=weed, seconds=seconds, rounds=rounds)
            is_missed |= _show(case, costs)
    sys.exit(is_missed)


def _measure(
    case: Case,
    programs: Mapping[str, tuple[str, ...]],
    *,
    folder: Path,
    weed: Seaweed,
    seconds: int,
    rounds: int,
) -> dict[str, list[float]]:
    """Return microseconds of CPU time a request, for each program and round."""
    keys = [f"gall/{number}/{number}_1_small.jpg" for number in range(DERIVATIVES)]
    paths = [f"/img/{key.replace('small', 'original')}/small" for key in keys]
    costs: dict[str, list[float]] = {who: [] for who in programs}
    with ExitStack() as stack:
        services = {}
        for who, program in programs.items():
            settings = {**(on_bucket(weed, seaweed.ADMIN) if case.is_bucket else {}), **case.settings}
            one = Service(
                folder=folder / who, settings={"DELIVERY": "stream", "WORKERS": "0", **settings}, program=program
            )
            one.folder.mkdir()
            if not case.is_bucket:
                asyncio.run(plant(one.store, keys, folder.parent / "picture"))
            services[who] = stack.enter_context(started(one))
            first = [httpx.get(one.url + path) for path in paths]
            headers = {"if-none-match": first[0].headers["etag"]} if case.is_unchanged else {}
            status = {httpx.get(one.url + path, headers=headers).status_code for path in paths}
            if status != {304 if case.is_unchanged else 200}:
                raise RuntimeError(f"{case.name}: the responses have the statuses {status}.")
            wrk.write_script(one.folder / "paths.lua", paths, headers)
        for _ in range(rounds):
            for who, service in services.items():
                before = _cpu_seconds(service)
                run = wrk.run(
                    service.url,
                    service.folder / "paths.lua",
                    core=ASKED_FROM,
                    connections=CONNECTIONS,
                    seconds=seconds,
                )
                costs[who].append((_cpu_seconds(service) - before) / (run.per_second * seconds) * 1e6)
    return costs


def _cpu_seconds(service: Service) -> float:
    """Return the CPU time of all threads of the main process."""
    if service.process is None:
        raise RuntimeError("The service does not run.")
    tasks = Path(f"/proc/{service.process.pid}/task").glob("*/schedstat")
    return sum(int(one.read_text(encoding="ascii").split()[0]) for one in tasks) / 1e9


def _show(case: Case, costs: Mapping[str, list[float]]) -> bool:
    """Print the medians of the rounds; return whether the bar is missed."""
    ours = statistics.median(costs[OURS])
    line = f"{case.name:24} {ours:8.0f} us"
    is_missed = False
    if BASE in costs:
        ratio = ours / statistics.median(costs[BASE])
        is_missed = case.bar is not None and ratio > case.bar
        bar = f", at most {case.bar:g}" if case.bar else ""
        line += f"   base {statistics.median(costs[BASE]):8.0f} us   share {ratio:.2f}{bar}"
    rounds = {who: " ".join(f"{one:.0f}" for one in each) for who, each in costs.items()}
    print(line, rounds, flush=True)
    return is_missed


if __name__ == "__main__":
    main()
