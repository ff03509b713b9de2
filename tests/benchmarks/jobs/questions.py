"""What a post waits for, each asked for by itself while the posts go on."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.benchmarks.jobs.senders import HOST, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    Seen = Mapping[str, list[float]]

PAUSE_SECONDS = 0.05
"""Between two questions of a kind: seldom enough to cost the posts nothing."""

PAGE = bytes(4096)

LOOP = "the event loop: GET /healthz"
DATABASE = "and the database's thread: GET a job"
DISK = "the disk: 4 KiB and fdatasync"


@asynccontextmanager
async def asking(*, port: int, folder: Path) -> AsyncIterator[Seen]:
    """Ask the service, and the disk under the folder, as long as the block lasts; yields the milliseconds of each.

    An answer about health waits for the event loop and its processor only. One about a job that is not there waits
    for the thread of the queue's database as well, and so for the commits that are before it. What a post then still
    takes longer is its own commit.
    """
    descriptor = os.open(folder / "asked", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    questions: Mapping[str, Callable[[], Awaitable[object]]] = {
        LOOP: partial(answer, *await asyncio.open_connection(HOST, port), _get("/healthz")),
        DATABASE: partial(answer, *await asyncio.open_connection(HOST, port), _get(f"/v1/jobs/{'0' * 32}")),
        DISK: partial(asyncio.to_thread, _keep, descriptor),
    }
    seen: Seen = {name: [] for name in questions}
    tasks = [asyncio.create_task(_repeat(question, seen[name])) for name, question in questions.items()]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        os.close(descriptor)


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()


def _keep(descriptor: int) -> None:
    os.write(descriptor, PAGE)
    os.fdatasync(descriptor)


async def _repeat(question: Callable[[], Awaitable[object]], seen: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await question()
        seen.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(PAUSE_SECONDS)
