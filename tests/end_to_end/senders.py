"""Senders that post a job until it is accepted, as those of webhooks do; and what must come of it."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import msgspec
import pyvips

from loadtest import demo
from loadtest.paint import Photograph, paint
from loadtest.servers.service import order, signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from loadtest.servers.receiver import Receiver
    from loadtest.servers.service import Service

WIDTHS = {"small": 16, "medium": 32, "large": 48, "xlarge": 2000}
"""Sizes so small that a job takes milliseconds: it is their number that tries a queue."""

SHAPES = ((64, 48), (80, 40), (40, 80), (56, 56))
"""Width and height of the originals, by turns."""

SENDERS = 3
SOON_SECONDS = 0.05
DEADLINE_SECONDS = 240.0
"""Patience with a machine that has much else to do, not what a service may take."""

TOLD_SECONDS = 120.0
"""A callback that only its promise can tell of is told within a minute, perhaps by a machine that starts."""


@dataclass
class Senders:
    """Post originals to a service, each until it is accepted, whatever becomes of the service meanwhile."""

    service: Service
    photos: list[Path]
    receiver: Receiver | None = None
    """Who is told the end of each job, if anybody is."""
    accepted: dict[str, str] = field(default_factory=dict)
    """Where the job of each original can be asked for."""
    answers: Counter[str] = field(default_factory=Counter)
    """How often a post was answered what; "lost" is not at all."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _change: threading.Condition = field(default_factory=threading.Condition)
    _enough: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def posting(self) -> Iterator[None]:
        """Post within the block; what was begun by its end is still posted until it is accepted."""
        with ThreadPoolExecutor(SENDERS) as threads:
            senders = [threads.submit(self._post_on) for _ in range(SENDERS)]
            try:
                yield
            finally:
                self._enough.set()
        for sender in senders:
            sender.result()

    def wait_for_more(self, jobs: int = 1) -> None:
        """Return when so many more jobs are accepted than were when this was asked."""
        with self._change:
            enough = len(self.accepted) + jobs
            assert self._change.wait_for(lambda: len(self.accepted) >= enough, timeout=DEADLINE_SECONDS)

    def _post_on(self) -> None:
        with httpx.Client(timeout=10) as client:
            while not self._enough.is_set():
                number = next(self._numbers)
                key = f"gall/{number}/{number}_1_original.jpg"
                self.service.put(key, self.photos[number % len(self.photos)])
                self._post(client, key, message_id=f"msg_{uuid4().hex}")

    def _post(self, client: httpx.Client, key: str, *, message_id: str) -> None:
        body = order(key, callback_url=self.receiver.url if self.receiver else "")
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            try:
                headers = signed(body, message_id=message_id)
                answer = client.post(f"{self.service.url}/v1/jobs", content=body, headers=headers)
            except httpx.TransportError:
                self._note("lost")
            else:
                self._note(str(answer.status_code))
                if answer.status_code == httpx.codes.ACCEPTED:
                    return self._keep(key, answer.headers["location"])
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
                assert int(answer.headers["retry-after"]) > 0
            time.sleep(SOON_SECONDS)  # a sender's patience: the service is down, or its queue is full
        raise TimeoutError(f"the job of {key} was never accepted")

    def _keep(self, key: str, location: str) -> None:
        with self._change:
            self.accepted[key] = location
            self._change.notify_all()

    def _note(self, answer: str) -> None:
        with self._change:
            self.answers[answer] += 1


def paint_originals(folder: Path) -> list[Path]:
    """Paint one original of each shape."""
    paths = [folder / f"{width}x{height}.jpg" for width, height in SHAPES]
    for path, (width, height) in zip(paths, SHAPES, strict=True):
        paint(path, Photograph(width=width, height=height, noise=4))
    return paths


def write_sizes(folder: Path) -> Path:
    """Write the file of the small sizes."""
    path = folder / "sizes.toml"
    path.write_text("".join(f"[sizes.{name}]\nwidth = {width}\n" for name, width in WIDTHS.items()))
    return path


def expected(key: str) -> dict[str, tuple[int, int]]:
    """Give the derivatives that an original must have: the dimensions in pixels by the key."""
    width, height = SHAPES[int(key.split("/")[1]) % len(SHAPES)]
    return {
        key.replace("_original", f"_{size}"): (shown := min(box, width), (height * shown * 2 + width) // (width * 2))
        for size, box in WIDTHS.items()
    }


def jobs_done(senders: Senders) -> list[demo.Job]:
    """Give every accepted job once it has ended: done, and with exactly its derivatives."""
    jobs = dict(zip(senders.accepted, all_ended(senders.service, senders.accepted.values()), strict=True))
    for key, job in jobs.items():
        assert (job.status, job.error) == ("done", None), key
        assert {made.key: (made.width, made.height) for made in job.derivatives} == expected(key)
    return list(jobs.values())


def check_callbacks(receiver: Receiver, jobs: list[demo.Job]) -> None:
    """Wait until the end of every job was told, at least once, and nothing else was."""
    ids = {job.id for job in jobs}
    assert receiver.wait_for(ids, seconds=TOLD_SECONDS)
    assert receiver.jobs() == ids
    assert {told.event.type for told in receiver.taken()} == {"job.done"}
    assert receiver.forged == 0


def all_ended(service: Service, locations: Iterable[str]) -> list[demo.Job]:
    """Give jobs once each of them has ended."""
    with httpx.Client(base_url=service.url) as client:
        return [_ended(client, location) for location in locations]


def _ended(client: httpx.Client, location: str) -> demo.Job:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        job = msgspec.json.decode(client.get(location).content, type=demo.Job)
        if job.status in {"done", "error"}:
            return job
        time.sleep(SOON_SECONDS)
    raise TimeoutError(f"{location} did not end")


def check_store(store: Path, keys: list[str]) -> int:
    """Find exactly the originals and their derivatives in a folder, each readable whole; give how many."""
    there = {str(path.relative_to(store)): path for path in store.glob("gall/**/*") if path.is_file()}
    right = {name: shape for key in keys for name, shape in expected(key).items()}
    assert set(there) - set(keys) == set(right)
    for name, shape in right.items():
        picture = pyvips.Image.new_from_file(str(there[name]), fail_on="truncated")
        picture.avg()  # decodes it all
        assert (picture.width, picture.height) == shape, name
    return len(right)


def leftovers(service: Service) -> list[Path]:
    """Find what a service left of its work in progress."""
    folders = (service.store / "\x7fgallformers" / "temporary", *service.scratch.glob("gf-images-*/*"))
    return [path for folder in folders if folder.exists() for path in folder.iterdir()]


def counts(senders: Senders, jobs: list[demo.Job], **more: int) -> str:
    """Say in a line what happened."""
    told = {
        **more,
        "jobs accepted and done": len(jobs),
        "posts without an answer": senders.answers["lost"],
        "posts answered 503": senders.answers["503"],
        "jobs begun more than once": sum(job.attempts > 1 for job in jobs),
        "most begins of one job": max(job.attempts for job in jobs),
        "callbacks taken": len(senders.receiver.taken()) if senders.receiver else 0,
    }
    return ", ".join(f"{name} {count}" for name, count in told.items())


def metric(service: Service, name: str) -> float:
    """Read a series, all its labels together."""
    lines = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)


def is_running(pid: int) -> bool:
    """Tell whether a render process is still there."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - it may vanish at any step
            return b"pipeline.process.render_server" in file.read()
    except OSError:
        return False
