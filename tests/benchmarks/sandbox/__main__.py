"""Measures what the sandbox and the fork server cost, and looks for leaks in many renders.

    python -m tests.benchmarks.sandbox [--renders 10000] [--rounds 11] [--files FOLDER]

Prints the time from a start to the first derivatives, the memory of an idle fork server, the CPU of a warm render with
the sandbox against one without, whether each file of a folder gets the same answer and bytes with both, and what the
service and the fork server hold before and after many renders. Ends with 1 if a bar is missed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import statistics
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
import structlog

from loadtest.paint import Photograph, paint
from pipeline.errors import Refused
from pipeline.protocol import Render
from proxy.concurrency.admission import Admission, Priority, Ticket
from proxy.errors import ProcessDied
from proxy.rendering.pool import RenderPool
from tests.benchmarks.peers.process_tree import cpu_seconds
from tests.pipeline.rendering import CORPUS, SITE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.protocol import SandboxLevel

FIRST_SECONDS_BAR = 0.3
IDLE_BYTES_BAR = 30 * 2**20
CPU_RATIO_BAR = 1.06
GROWTH_BYTES_BAR = 3_000_000
MEGA = 1_000_000
SLOTS = 2
WARM_RENDERS = 12


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds: resident bytes, open descriptors, and children that are not collected."""

    resident: int
    descriptors: int
    children: int

    @classmethod
    def by(cls, pid: int) -> Held:
        """Return what the process holds now."""
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        resident = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
        return cls(resident, len(list(Path(f"/proc/{pid}/fd").iterdir())), len(_children(pid)))


@click.command()
@click.option("--renders", default=10_000, show_default=True, help="Renders of a small photograph in a row.")
@click.option("--rounds", default=11, show_default=True, help="How often each is measured, in turns.")
@click.option("--files", default=CORPUS, show_default=True, type=click.Path(path_type=Path), help="Searched for files.")
def main(renders: int, rounds: int, files: Path) -> None:
    """Measure all of it; the machine should be idle."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with TemporaryDirectory(prefix="gf-images-bench-") as name:
        folder = Path(name)
        small, large = folder / "small.jpg", folder / "large.jpg"
        paint(small, Photograph(width=640, height=480))
        paint(large, Photograph(width=4000, height=3000))
        passed = [
            asyncio.run(_first_renders(small, rounds)),
            asyncio.run(_warm_renders(large, rounds)),
            asyncio.run(_same_answers(files)),
            asyncio.run(_many_renders(small, renders)),
        ]
    sys.exit(not all(passed))


async def _first_renders(photograph: Path, rounds: int) -> bool:
    seconds, resident = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        async with _pool("require") as pool:
            await _render(pool, photograph)
            seconds.append(time.perf_counter() - began)
            resident.append(Held.by(_fork_server()).resident)
    worst = max(seconds)
    _say(f"first render {statistics.median(seconds):.2f} s after the start, worst {worst:.2f} s")
    _say(f"idle fork server {statistics.median(resident) / MEGA:.1f} MB resident, worst {max(resident) / MEGA:.1f} MB")
    return _bar("first render", worst, FIRST_SECONDS_BAR, "s") & _bar(
        "idle memory", max(resident) / MEGA, IDLE_BYTES_BAR / MEGA, "MB"
    )


async def _warm_renders(photograph: Path, rounds: int) -> bool:
    cpu: dict[str, list[float]] = {"off": [], "require": []}
    async with _pool("off") as plain, _pool("require") as sandboxed:
        pools = {"off": plain, "require": sandboxed}
        for pool in pools.values():
            await _render(pool, photograph)
        for number in range(rounds):  # in both orders: a machine that becomes slower or faster favours neither
            for level, pool in list(pools.items())[:: (-1) ** number]:
                before = cpu_seconds(os.getpid())
                for _ in range(WARM_RENDERS):
                    await _render(pool, photograph)
                cpu[level].append((cpu_seconds(os.getpid()) - before) / WARM_RENDERS)
    for level, each in cpu.items():
        _say(f"SANDBOX={level:8} {1000 * statistics.median(each):6.1f} ms of CPU for four sizes of 12 megapixels")
    ratios = [confined / without for without, confined in zip(cpu["off"], cpu["require"], strict=True)]
    _say(f"ratio of each round {' '.join(f'{ratio:.3f}' for ratio in ratios)}")
    return _bar("CPU ratio", statistics.median(ratios), CPU_RATIO_BAR, "x")


async def _same_answers(files: Path) -> bool:
    paths = sorted(path for path in files.rglob("*") if path.is_file() and path.suffix not in (".tsv", ".md"))
    async with _pool("off") as without, _pool("require") as confined:
        different = [path.name for path in paths if await _answer(without, path) != await _answer(confined, path)]
    _say(f"{len(paths)} files, {len(different)} with another answer or other bytes in the sandbox {different}")
    return not different


async def _many_renders(photograph: Path, renders: int) -> bool:
    async with _pool("require") as pool:

        async def some(count: int) -> None:
            for _ in range(count // SLOTS):
                await _render(pool, photograph)

        await asyncio.gather(*(some(renders // 10) for _ in range(SLOTS)))
        before = {"service": Held.by(os.getpid()), "fork server": Held.by(_fork_server())}
        await asyncio.gather(*(some(renders) for _ in range(SLOTS)))
        after = {"service": Held.by(os.getpid()), "fork server": Held.by(_fork_server())}
    for who, held in before.items():
        _say(f"{who:12} {held} before {renders} renders")
        _say(f"{who:12} {after[who]} after")
    growth = max(after[who].resident - before[who].resident for who in before)
    same = all(
        (before[who].descriptors, before[who].children) == (after[who].descriptors, after[who].children)
        for who in before
    )
    _say("the same descriptors and no zombie" if same else "MISSED: other descriptors, or a zombie")
    return _bar("growth", growth / MEGA, GROWTH_BYTES_BAR / MEGA, "MB") and same


@asynccontextmanager
async def _pool(level: SandboxLevel) -> AsyncIterator[RenderPool]:
    pool = RenderPool(admission=Admission(slots=SLOTS, budget_bytes=1 << 30), deadline_seconds=120, sandbox=level)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


async def _render(pool: RenderPool, photograph: Path) -> dict[str, str]:
    with TemporaryDirectory() as folder:
        result = await pool.render(Render(path=str(photograph), folder=folder, sizes=SITE), Ticket(Priority.JOB))
        made = result.derived.derivatives
        return {each.size: hashlib.sha256(Path(each.path).read_bytes()).hexdigest() for each in made}


async def _answer(pool: RenderPool, path: Path) -> dict[str, str] | tuple[str, str]:
    try:
        return await _render(pool, path)
    except (Refused, ProcessDied) as error:
        return type(error).__name__, str(error)


def _fork_server() -> int:
    """Return the process id of this process's fork server that started last."""
    return max(pid for pid in _children(os.getpid()) if b"render_server" in Path(f"/proc/{pid}/cmdline").read_bytes())


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]


def _bar(what: str, measured: float, most: float, unit: str) -> bool:
    is_met = measured <= most
    _say(f"bar: {what} at most {most:.2f} {unit}, measured {measured:.2f} {unit}{'' if is_met else ' MISSED'}")
    return is_met


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
