"""Two machines on one queue and one bucket with versions, behind a CDN that keeps every copy until it is purged."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import quote

import httpx

from loadtest.paint import Photograph, paint
from loadtest.servers import seaweed
from loadtest.servers.receiver import receiving
from loadtest.servers.seaweed import ADMIN, PUBLIC_BUCKET
from loadtest.servers.service import on_bucket, order, signed
from tests.machine.bucket import SIZES, Bucket
from tests.machine.fork_server import PATIENCE
from tests.machine.nodes import Node, wait_until_one_is_held
from tests.machine.queues import running_queue
from tests.machine.site import EVENTS_TOKEN
from tests.proxy.removal.cdns import CachingServer, caching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from loadtest.servers.receiver import Receiver
    from proxy.system.failpoints import Point
    from tests.machine.nodes import Action
    from tests.machine.queues import QueueKind

T = TypeVar("T")

ENDED_SECONDS: Final = 200.0
"""How long anything may take, on a machine that has much else to do."""

LOOK_EVERY_SECONDS: Final = 0.05

Cause = Literal["post", "view", "upload", "event"]
"""What makes a machine work on a picture."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two machines on one queue and one bucket, the CDN in front of it, and the receiver of their callbacks."""

    queue: QueueKind
    nodes: list[Node]
    bucket: Bucket
    cdn: CachingServer
    receiver: Receiver
    photo: Path
    client: httpx.Client
    threads: ThreadPoolExecutor
    numbers: Iterator[int]

    def new_key(self) -> str:
        number = next(self.numbers)
        return f"gall/{number}/{number}_1_original.jpg"

    def other(self, node: Node) -> Node:
        (other,) = (one for one in self.nodes if one is not node)
        return other

    def begin(self, cause: Cause, key: str, node: Node) -> Future[httpx.Response]:
        """Have a machine work on a picture; the answer may never come."""
        if cause != "upload":
            self.bucket.put(key, self.photo)
        body, event = order(key), {"action": "PutObject", "bucket": PUBLIC_BUCKET, "object": {"key": key}}
        causes: dict[Cause, Callable[[], httpx.Response]] = {
            "post": lambda: self.client.post(f"{node.url}/v1/jobs", content=body, headers=signed(body)),
            "view": lambda: self.client.get(f"{node.url}/img/{key}/large"),
            "upload": lambda: self._upload(body, node),
            "event": lambda: self.client.post(f"{node.url}/v1/events/s3?token={EVENTS_TOKEN}", json=event),
        }
        return self.threads.submit(causes[cause])

    def _upload(self, body: bytes, node: Node) -> httpx.Response:
        ordered = self.client.post(f"{node.url}/v1/uploads", content=body, headers=signed(body)).raise_for_status()
        return self.client.put(f"{node.url}{ordered.json()['upload_url']}", content=self.photo.read_bytes())

    def interrupt(self, point: Point, key: str, action: Action) -> None:
        """Have the first machine that reaches a point with a picture stopped or killed there."""
        for one in self.nodes:
            one.order(point, action, key)

    def interrupted(self, action: Action, *, among: Sequence[Node] = ()) -> Node:
        """Wait until one of these machines, or either, was stopped or killed, and return it."""
        nodes = among or self.nodes
        if action == "stop":
            found = wait_until_one_is_held(nodes, ENDED_SECONDS)
        else:
            found = until(lambda: next((one for one in nodes if not one.is_running), None))
        for one in self.nodes:
            one.disarm()
        assert found is not None
        return found

    def resume(self, node: Node) -> None:
        """Continue a machine that is stopped, and start one that has ended."""
        node.thaw()
        node.start()

    def visit(self, key: str) -> None:
        """Have the CDN fetch what there is of a picture."""
        for name in names_of(key):
            self.client.get(f"{self.cdn.url}/{name}")

    def take_down(self, key: str, node: Node, *, stopped: Node | None = None) -> str:
        """Request a takedown until the answer is that it is accepted; return the id of its job.

        A machine that was stopped may have stopped within a write to the file of the queue, which it then holds: it is
        continued if the queue does not respond.
        """
        address = f"/v1/images/{key}?callback_url={quote(self.receiver.url, safe='')}"
        headers = signed(f"DELETE {address}".encode(), message_id=f"msg_{key}")

        def accepted() -> str:
            with suppress(httpx.TransportError):
                answer = self.client.delete(f"{node.url}{address}", headers=headers)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return str(answer.raise_for_status().json()["id"])
                if stopped:
                    self.resume(stopped)
            return ""

        return until(accepted)

    def ended(self, job_id: str, node: Node) -> dict[str, Any]:
        """Wait until a job has ended, and return it."""

        def look() -> dict[str, Any] | None:
            with suppress(httpx.TransportError):
                job: dict[str, Any] = self.client.get(f"{node.url}/v1/jobs/{job_id}").json()
                return job if job.get("finished_at") else None
            return None

        return until(look)

    def wait_until_idle(self) -> None:
        """Wait until both machines run, and the queue has no job."""
        for node in self.nodes:
            until(partial(self._is_idle, node))

    def _is_idle(self, node: Node) -> bool:
        with suppress(httpx.TransportError):
            for status in ("queued", "processing"):
                address = f"/v1/jobs?status={status}"
                answer = self.client.get(f"{node.url}{address}", headers=signed(f"GET {address}".encode()))
                if not answer.is_success or answer.json()["jobs"]:
                    return False
            return True
        return False

    def _is_not_found(self, key: str, node: Node) -> bool:
        return self.client.get(f"{node.url}/img/{key}/large").status_code == httpx.codes.NOT_FOUND

    def left(self, key: str) -> set[str]:
        """Return what is left of a picture: keys of the store's versions and markers, and of the CDN's copies."""
        copies = {f"copy of {name}" for name in names_of(key) if name in self.cdn.kept}
        return self.bucket.copies(key) | copies

    def check_gone(self, key: str) -> None:
        """Check that nothing is left of a picture, that no page view brings it back, and that there is one receipt."""
        self.wait_until_idle()
        for node in self.nodes:  # a render goes on when its job has lost its lease, or its page view was answered
            until(partial(_has_no_work, node))
        until(lambda: not self.left(key))
        for node in self.nodes:
            until(partial(self._is_not_found, key, node))
        self.visit(key)
        assert self.left(key) == set()

        def receipts() -> set[str]:
            taken = self.receiver.taken()
            return {one.id for one in taken if one.event.type == "takedown.done" and one.event.data["key"] == key}

        assert len(until(receipts)) == 1


def _has_no_work(node: Node) -> bool:
    return not [*node.service.scratch.glob("gf-images-*/work/*/*")]


def names_of(key: str) -> list[str]:
    return [key.replace("original", size) for size in ("original", *SIZES)]


def until(look: Callable[[], T | None]) -> T:
    """Look until there is something to see, and return it."""
    deadline = time.monotonic() + ENDED_SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, "it has not come in time"
        time.sleep(LOOK_EVERY_SECONDS)
    return seen


@contextmanager
def running_pair(kind: QueueKind, folder: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        (folder / "weed").mkdir()
        weed = stack.enter_context(seaweed.running(folder / "weed"))
        weed.client().put_bucket_versioning(Bucket=PUBLIC_BUCKET, VersioningConfiguration={"Status": "Enabled"})
        queue = stack.enter_context(running_queue(kind, folder))
        bucket = Bucket(weed)
        cdn = stack.enter_context(caching(bucket.read))
        receiver = stack.enter_context(receiving())
        sizes = folder / "sizes.toml"
        sizes.write_text("".join(f"[sizes.{name}]\nwidth = {width}\n" for name, width in SIZES.items()))
        settings = {
            **on_bucket(weed, ADMIN, PUBLIC_BASE_URL=cdn.url, CDN_PURGE=f"url:{cdn.url}{{path}}"),
            PATIENCE: str(ENDED_SECONDS),
            "CALLBACK_HOSTS": receiver.listed,
            "EVENTS_TOKEN": EVENTS_TOKEN,
            "QUEUE": queue.address,
            "SIZES_FILE": str(sizes),
        }
        nodes = [Node(name, folder, settings) for name in ("one", "two")]
        for node in nodes:
            stack.callback(node.close)
            node.open()
            node.start()
        paint(folder / "photo.jpg", Photograph(width=64, height=48, noise=4))
        pair = Pair(
            queue=kind,
            nodes=nodes,
            bucket=bucket,
            cdn=cdn,
            receiver=receiver,
            photo=folder / "photo.jpg",
            client=stack.enter_context(httpx.Client(timeout=ENDED_SECONDS)),
            threads=stack.enter_context(ThreadPoolExecutor(8)),
            numbers=count(1),
        )
        for node in nodes:
            until(partial(is_ready, pair.client, node))
        yield pair


def is_ready(client: httpx.Client, node: Node) -> bool:
    with suppress(httpx.TransportError):
        return client.get(f"{node.url}/readyz").is_success
    return False
