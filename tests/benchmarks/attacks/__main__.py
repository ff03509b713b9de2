"""Measures what clients that attack the socket cost: memory, restarts, and the latency of everybody else.

    python -m tests.benchmarks.attacks [--seconds 30] [--kinds heads,value,…]

The service runs in a memory control group of 256 MB (as root) and gets traffic over loopback only. Exits with 1 if
memory grows by more than the bar, the service restarts, other requests are slower than the bar, or memory is not
released.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadtest.paint import Photograph, paint
from loadtest.servers.groups import CannotMakeGroups, memory_group
from loadtest.servers.service import Service, started
from tests.benchmarks.attacks.prober import latencies
from tests.planted import plant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from loadtest.servers.groups import Group

MACHINE_BYTES = 256 << 20
BAR_BYTES, BAR_SECONDS = 25_000_000, 0.5
RECOVERY_SECONDS = 20.0
SAMPLE_SECONDS = 0.05
CONNECTIONS = 1000
REOPEN_SECONDS = 1.0
"""After how long a connection that was closed is opened again."""
PIPELINED = 200_000

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
KIBIBYTES_64 = b"a" * 65_536
LINES = b"".join(b"X-%06d: y\r\n" % number for number in range(5000))


async def _send(port: int, begin: bytes, pieces: Iterable[bytes], until: float) -> None:
    """Send on one connection after another, until the time is over."""
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            drain = asyncio.create_task(_discard(reader))
            try:
                writer.write(begin)
                for piece in pieces:
                    if time.monotonic() > until:
                        break
                    writer.write(piece)
                    await writer.drain()
            finally:
                drain.cancel()
                writer.transport.abort()


async def _discard(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65_536):
            pass


async def _hold(port: int, sent: bytes, until: float) -> None:
    """Keep a connection open that sends a part of a request and then nothing; open another when it is closed."""
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(sent)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.1, until - time.monotonic())):
                        await _discard(reader)
            finally:
                writer.transport.abort()
        await asyncio.sleep(REOPEN_SECONDS)


def _endless(begin: bytes, piece: bytes) -> Callable[[int, float], Awaitable[None]]:
    return lambda port, until: _send(port, begin, repeat(piece), until)


def _many(sent: bytes) -> Callable[[int, float], Awaitable[object]]:
    return lambda port, until: asyncio.gather(*(_hold(port, sent, until) for _ in range(CONNECTIONS)))


ATTACKS: dict[str, Callable[[int, float], Awaitable[object]]] = {
    "endless heads": _endless(GET, LINES),
    "one endless value": _endless(GET + b"X-A: ", KIBIBYTES_64),
    "endless address": _endless(b"GET /", KIBIBYTES_64),
    "trailers": _endless(CHUNKED + b"0\r\n", LINES),
    "pipelined": lambda port, until: _send(port, b"", repeat((GET + b"\r\n") * 2000, PIPELINED // 2000), until),
    "silent connections": _many(b""),
    "half bodies": _many(POST + b"Content-Length: 60000\r\n\r\n" + b"a" * 50_000),
}


async def _attack(name: str, service: Service, group: Group, paths: list[str], seconds: float) -> bool:
    """Run one attack, print a row, and return whether every bar was met."""
    before, most = group.held_bytes(), 0
    loop, until = asyncio.get_running_loop(), time.monotonic() + seconds
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as prober:
        probing = loop.run_in_executor(prober, latencies, service.port, paths, seconds)
        async with _sampling(group) as held:
            await ATTACKS[name](service.port, until)
            waits = await probing
        most = max(held)
    after = await _settled(group, before)
    p99 = waits[int(len(waits) * 0.99)]
    is_alive = service.process is not None and service.process.poll() is None and not group.kills()
    is_met = most - before < BAR_BYTES and p99 < BAR_SECONDS and is_alive and after - before < BAR_BYTES / 2
    print(
        f"{name:20s} memory +{(most - before) / 1e6:5.1f} MB, afterwards {(after - before) / 1e6:+5.1f} MB; "
        f"{len(waits)} other requests, p99 {p99 * 1000:6.1f} ms; alive {is_alive}; {'met' if is_met else 'MISSED'}"
    )
    return is_met


@contextlib.asynccontextmanager
async def _sampling(group: Group) -> AsyncIterator[list[int]]:
    held = [group.held_bytes()]

    async def sample() -> None:
        while True:
            held.append(group.held_bytes())
            await asyncio.sleep(SAMPLE_SECONDS)

    sampling = asyncio.create_task(sample())
    try:
        yield held
    finally:
        sampling.cancel()


async def _settled(group: Group, before: int) -> int:
    """Return what the group holds once that is back to what it was, or after a while."""
    end = time.monotonic() + RECOVERY_SECONDS
    while (held := group.held_bytes()) > before + BAR_BYTES / 4 and time.monotonic() < end:  # noqa: ASYNC110 - the kernel raises no event
        await asyncio.sleep(SAMPLE_SECONDS)
    return held


@click.command()
@click.option("--seconds", default=30.0, show_default=True, help="Length of each attack.")
@click.option("--kinds", default=",".join(ATTACKS), show_default=True, help="Attacks, comma-separated.")
def main(seconds: float, kinds: str) -> None:
    """Attack a service in a memory control group of 256 MB, and measure what others notice."""
    is_met = True
    with tempfile.TemporaryDirectory(prefix="gf-images-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        try:
            group = stack.enter_context(memory_group(MACHINE_BYTES))
        except CannotMakeGroups as reason:
            sys.exit(str(reason))
        service = stack.enter_context(started(Service(folder=folder, entry=group.entry)))
        paint(folder / "known.jpg", Photograph(width=64, height=48))
        asyncio.run(plant(service.store, ["known/1_1_small.jpg"], folder / "known.jpg"))
        paths = ["/healthz", "/img/known/1_1_original.jpg/small"]
        for kind in kinds.split(","):
            is_met &= asyncio.run(_attack(kind.strip(), service, group, paths, seconds))
    sys.exit(not is_met)


if __name__ == "__main__":
    main()
