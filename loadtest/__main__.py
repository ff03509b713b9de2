"""Runs load tests: on a service in 256 MB, with its bucket on a SeaweedFS outside of that, or on any other service.

    python -m loadtest [webhook_burst] [page_views] [cold_views] [mixed] [--megapixels 24] [--jobs 1000]
    WEBHOOK_SECRET=whsec_... [PUBLIC_ORIGIN=...] python -m loadtest --url https://... [--store s3://...]

Exits with 1 if a bar is missed, and writes locust's report of each scenario to a folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from loadtest import bars, originals, plan
from loadtest.scenarios import PEOPLE, Originals, needs, planned
from loadtest.servers import seaweed
from loadtest.servers.fence import Fence, fenced
from loadtest.servers.service import SECRET, Service, on_bucket, started
from loadtest.servers.stores import Bucket, Store, opened

ROOT = Path(__file__).parents[1]
MACHINE_BYTES = 256 << 20
NUMBER = click.IntRange(0)
STOP_SECONDS = 60.0
"""How long locust may take after its run time to write its report."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command; 0 jobs or views stand for the default number."""

    scenarios: tuple[str, ...]
    url: str
    store: str
    megapixels: float
    jobs: int
    views: int
    seconds: int
    out: Path


ORIGIN_VARIABLE = "PUBLIC_ORIGIN"
"""The environment variable with the origin for which the service wants requests without a body to be signed."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The service under load, the store of its originals and, for a service of our own, its memory limit."""

    target: originals.Target
    store: Store | None
    fence: Fence | None = None
    pid: int = 0


@click.command()
@click.argument("scenarios", nargs=-1, type=click.Choice([*PEOPLE]))
@click.option(
    "--url", default="", help="A service that runs; WEBHOOK_SECRET signs, for PUBLIC_ORIGIN. Default: one of our own."
)
@click.option(
    "--store", default="", help="With --url: where it reads originals, file://… or s3://…; ours are put there."
)
@click.option(
    "--megapixels",
    type=click.FloatRange(0.1),
    default=2.0,
    show_default=True,
    help="Of the originals that are painted.",
)
@click.option("--jobs", type=NUMBER, default=0, help="How many jobs, 30 at a time; 30 when left out.")
@click.option("--views", type=NUMBER, default=0, help="How many page views; 3,000 when left out, 100 of cold_views.")
@click.option(
    "--seconds", type=click.IntRange(1), default=600, show_default=True, help="The longest that a scenario may take."
)
@click.option(
    "--out", default=Path("var/loadtest"), show_default=True, type=click.Path(path_type=Path), help="Reports."
)
def main(**told: object) -> None:
    """Run the named scenarios, or all four.

    With --url but without --store, jobs are posted for originals that the service already has.
    """
    asked = msgspec.convert(told, Asked)
    names = asked.scenarios or tuple(PEOPLE)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gf-images-load-")))
        load = _elsewhere(asked) if asked.url else _own(stack, folder)
        keys = needs(names).shared_out(_keys(stack, folder, load, asked))
        sizes = originals.warmed(load.target, keys.known or keys.first[:1] or keys.ordered[:1])
        met = [_met(_plan(name, keys, sizes, asked), load, asked) for name in names]
    sys.exit(0 if all(met) else 1)


def _own(stack: ExitStack, folder: Path) -> Load:
    """Start a service within a memory limit, and its store outside of it."""
    (folder / "weed").mkdir()
    weed = stack.enter_context(seaweed.running(folder / "weed"))
    fence = stack.enter_context(fenced(MACHINE_BYTES))
    if fence.group is None:
        click.echo(f"WARNING: {fence.described}. As root, it would be.", err=True)
    settings = on_bucket(weed, seaweed.ADMIN)
    service = stack.enter_context(started(Service(folder=folder, settings=settings, weed=weed, entry=fence.entry)))
    return Load(
        target=originals.Target(service.url, SECRET),
        store=Bucket(weed.client(), seaweed.PUBLIC_BUCKET),
        fence=fence,
        pid=service.process.pid if service.process else 0,
    )


def _elsewhere(asked: Asked) -> Load:
    secret = os.environ.get(plan.SECRET_VARIABLE)
    if not secret:
        raise click.UsageError(f"{plan.SECRET_VARIABLE} is not set: orders and purges are signed with it")
    target = originals.Target(asked.url.rstrip("/"), secret, origin=os.environ.get(ORIGIN_VARIABLE, ""))
    originals.reach(target)
    return Load(target=target, store=opened(asked.store) if asked.store else None)


def _keys(stack: ExitStack, folder: Path, load: Load, asked: Asked) -> list[str]:
    """Return the keys of as many originals as needed; delete those uploaded to another service at the end."""
    count = needs(asked.scenarios or tuple(PEOPLE)).together
    if load.store is None:
        return originals.found(load.target, count=count)
    keys = originals.named(count)
    if load.fence is None:
        stack.callback(originals.take_away, load.target, load.store, keys)
    photo = originals.painted(folder, asked.megapixels)
    for key in keys:
        load.store.put(key, photo)
    return keys


def _plan(name: str, keys: Originals, sizes: tuple[str, ...], asked: Asked) -> plan.Plan:
    return msgspec.structs.replace(planned(name, keys, jobs=asked.jobs, views=asked.views), sizes=sizes)


def _met(one: plan.Plan, load: Load, asked: Asked) -> bool:
    """Run a scenario in a process of its own, and return whether every bar is met."""
    report = asked.out.absolute() / f"{one.scenario}-{datetime.now(tz=UTC):%Y%m%dT%H%M%SZ}.html"
    print(f"\n{one.scenario}: {one.jobs} jobs, {one.views} page views; {asked.megapixels:g} MP", flush=True)
    with load.fence.watching(load.pid) if load.fence else nullcontext():
        is_met = _run(one, load.target, report, seconds=asked.seconds)
    print(f"load averages {', '.join(f'{one:.1f}' for one in os.getloadavg())}; report: {report}", flush=True)
    return _machine_met(load.fence) and is_met if load.fence else is_met


def _run(one: plan.Plan, target: originals.Target, report: Path, *, seconds: int) -> bool:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        plan.write(msgspec.structs.replace(one, origin=target.origin), Path(file.name))
        people = str(sum(one.people.values()))
        bounds = ["--users", people, "--spawn-rate", people, "--run-time", f"{seconds}s", "--host", target.url]
        quiet = ["--headless", "--only-summary", "--loglevel", "WARNING", "--html", str(report)]
        command = [sys.executable, "-m", "locust", "--locustfile", str(ROOT / "loadtest" / "locustfile.py")]
        environment = {**os.environ, plan.VARIABLE: file.name, plan.SECRET_VARIABLE: target.secret}
        ended = subprocess.run(
            [*command, *bounds, *quiet],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            timeout=seconds + STOP_SECONDS,
            check=False,
        )
    return ended.returncode == 0


def _machine_met(fence: Fence) -> bool:
    parts = ", ".join(f"{part / 1e6:.0f}" for part in fence.parts(10))
    print(f"{fence.described}: held at most {fence.peak_bytes / 1e6:.0f} MB; by tenths of the time: {parts}")
    is_met = bars.all_met(bars.OF_MACHINE, bars.Results(series={}, kills=fence.oom_kills))
    fence.held.clear()
    return is_met


if __name__ == "__main__":
    main()
