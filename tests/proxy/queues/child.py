"""A second process on the same queue: `python -m tests.proxy.queues.child hang|drain|enqueue URL`.

It prints the key of each job on a line of its own, once it has taken the job or its enqueueing has returned.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from typing import TYPE_CHECKING

from saq import Status

from proxy.queues.factory import open_queue
from tests.proxy.queues.asking import take

if TYPE_CHECKING:
    from saq import Queue


def say(key: str) -> None:
    sys.stdout.write(f"{key}\n")
    sys.stdout.flush()


async def hang(queue: Queue) -> None:
    """Take a job and never finish it."""
    job = await take(queue)
    say(job.key)
    await asyncio.Event().wait()


async def drain(queue: Queue) -> None:
    """Take and finish every job in the queue."""
    while (job := await queue.dequeue(timeout=0.5)) is not None:
        await job.update(status=Status.ACTIVE)
        say(job.key)
        await job.finish(Status.COMPLETE)


async def enqueue(queue: Queue) -> None:
    """Enqueue jobs forever, five at a time."""

    async def one(key: str) -> None:
        await queue.enqueue("paint", key=key)
        say(key)

    while True:
        await asyncio.gather(*(one(uuid.uuid4().hex) for _ in range(5)))


async def main(play: str, url: str) -> None:
    queue = open_queue(url, name="images")
    await queue.connect()
    await {"hang": hang, "drain": drain, "enqueue": enqueue}[play](queue)
    await queue.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
