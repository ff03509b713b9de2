"""Everything that runs: the queue, the bucket, the CDN, the receiver of callbacks and two machines."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from loadtest.servers.receiver import Receiver, receiving
from loadtest.servers.seaweed import ADMIN
from loadtest.servers.service import on_bucket
from tests.machine.bucket import SIZES, Bucket, FaultyPath, serving_cdn
from tests.machine.nodes import Node
from tests.machine.promises import END_SECONDS, QUEUE_SIZE, WORKERS, Promises
from tests.machine.queues import running_queue
from tests.machine.site import ANSWER_SECONDS, EVENTS_TOKEN, Violation
from tests.machine.uploading import UploadingSite
from tests.proxy.stores.fault_proxy import CALM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.servers.seaweed import Seaweed
    from tests.machine.bucket import Cdn
    from tests.machine.queues import MortalQueue, QueueKind

PHOTOS = 7
"""How many different photographs there are; successive originals of a picture differ."""

GRACE_SECONDS = 3

RESUME_SECONDS = 5.0
"""How often the queue is resumed while everything ends."""


class World:
    """What the steps act on."""

    def __init__(
        self, *, path: FaultyPath, queue: MortalQueue, receiver: Receiver, site: UploadingSite, has_one_clock: bool
    ) -> None:
        self.path, self.queue, self.receiver, self.site = path, queue, receiver, site
        self.has_one_clock = has_one_clock
        """Whether the machines stand for two services on one machine, which share a file."""
        self.nodes = site.nodes
        self.promises = Promises(site, receiver.taken)
        self.trace: list[str] = []
        """Every step so far, with its time."""
        self._resumed_at = 0.0
        self.is_paused = False
        """Whether the queue may be paused."""
        self.seconds_idle = 0.0
        """How long it took in all until the service was idle."""

    def note(self, step: str) -> None:
        """Add a step to the trace."""
        self.trace.append(f"{time.time():.3f} {step}")

    def counts(self) -> str:
        """Return in a line what happened."""
        told = {
            "until idle": f"{self.seconds_idle:.0f} s",
            "processes": sum(len(node.lives) for node in self.nodes),
            "callbacks": len(self.receiver.taken()),
        }
        return ", ".join(f"{name} {count}" for name, count in told.items())

    def settle(self) -> None:
        """End all faults, wait until the service is idle, and check everything.

        Raises:
            Violation: a promise was broken.
        """
        began = time.monotonic()
        self.path.set(CALM)
        self.queue.resume()
        self.receiver.refuse(None)
        for node in self.nodes:
            node.disarm()
            node.clock.set(0)
            node.is_wanted = True
        self._tend()
        self._resume_jobs()
        for _ in range(20):
            if self.site.wait(ANSWER_SECONDS / 4):
                break
            self._tend()
        else:
            raise Violation("requests are neither answered nor given up")
        self.promises.wait_until_idle(self._tend_and_resume)
        self.promises.check_idle()
        self.seconds_idle += time.monotonic() - began

    def _resume_jobs(self) -> None:
        """Resume the queue, should an operator have paused it."""
        deadline = time.monotonic() + END_SECONDS
        while self.is_paused and time.monotonic() < deadline:
            self._tend()
            self.is_paused = not self.site.pause(self.nodes[0], is_paused=False)

    def _tend_and_resume(self) -> None:
        """Do as `_tend`, and resume the queue: a request to pause it that was given up may have come late."""
        self._tend()
        if time.monotonic() - self._resumed_at > RESUME_SECONDS:
            self.site.pause(self.nodes[0], is_paused=False)
            self._resumed_at = time.monotonic()

    def _tend(self) -> None:
        """Start what was killed, and continue what was stopped, even at a failpoint just now."""
        for node in self.nodes:
            if node.is_frozen:
                node.thaw()
            node.start()


@contextmanager
def running_world(kind: QueueKind, *, seed: int) -> Iterator[World]:
    """Run everything within the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        weed_folder = folder / "weed"
        weed_folder.mkdir()
        weed = stack.enter_context(seaweed.running(weed_folder))
        queue = stack.enter_context(running_queue(kind, folder))
        path = stack.enter_context(FaultyPath(weed.port, seed=seed).running())
        cdn = stack.enter_context(serving_cdn(weed.port))
        receiver = stack.enter_context(receiving())
        settings = _settings(folder, weed=weed, queue=queue, path=path, cdn=cdn, receiver=receiver)
        nodes = [Node(name, folder, settings) for name in ("one", "two")]
        for node in nodes:
            stack.callback(node.close)
            node.open()
        site = UploadingSite(nodes, Bucket(weed), _paint(folder), receiver.url)
        stack.callback(site.close)
        yield World(path=path, queue=queue, receiver=receiver, site=site, has_one_clock=kind == "sqlite")


def _settings(
    folder: Path, *, weed: Seaweed, queue: MortalQueue, path: FaultyPath, cdn: Cdn, receiver: Receiver
) -> dict[str, str]:
    sizes = folder / "sizes.toml"
    sizes.write_text("".join(f"[sizes.{name}]\nwidth = {width}\n" for name, width in SIZES.items()))
    settings = on_bucket(weed, ADMIN, S3_ENDPOINT_URL=path.url, PUBLIC_BASE_URL=cdn.url)
    return {
        **settings,
        # Without it, a page view that stands still between its look at the original and its write could write an older
        # derivative after a job, and its machine could be killed before the look that follows.
        "CONDITIONAL_WRITES": "true",
        "EVENTS_TOKEN": EVENTS_TOKEN,
        "EVENTS_REMOVE": "true",
        "QUEUE": queue.address,
        "QUEUE_SIZE": str(QUEUE_SIZE),
        "WORKERS": str(WORKERS),
        "SIZES_FILE": str(sizes),
        "CALLBACK_HOSTS": receiver.listed,
        "GRACE_SECONDS": str(GRACE_SECONDS),
        "SCRATCH_MB": "64",
    }


def _paint(folder: Path) -> list[Path]:
    paths = [folder / f"photo-{number}.jpg" for number in range(PHOTOS)]
    for number, path in enumerate(paths):
        paint(path, Photograph(width=64, height=48, noise=4, seed=number))
    return paths
