"""The site that uses the service: what it did with each picture, and what it was promised."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from loadtest.servers.seaweed import PUBLIC_BUCKET
from loadtest.servers.service import order, signed
from tests.machine.fork_server import KNOWN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.machine.bucket import Bucket
    from tests.machine.nodes import Node

ANSWER_SECONDS = 8.0
"""How long the site waits for an answer; the service promises one in less."""

SENDERS = 24
"""How many requests may wait for answers at once: those to a stopped machine wait for long."""

SETTLE_SECONDS = 3.0
"""How much later a process may see that its clock was set, on a busy machine."""

PAUSE_SECONDS = 1.0
"""How long a step waits until the queue is paused or resumed."""

PROBLEM = "application/problem+json"
"""The content type of every error."""

DECLINED = {httpx.codes.SERVICE_UNAVAILABLE}
"""The queue is full, or does not respond."""

NOT_NOW = {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.BAD_GATEWAY}
"""The queue or the store does not respond: nothing was taken down, and a bucket sends its event again."""

CONFLICT = httpx.codes.CONFLICT
"""The picture was taken down, or the job was a takedown: it is not run again."""

GONE = {"missing", "purged"}
"""The outcomes of events about an original that is not there."""

EVENTS_TOKEN = "token-of-the-bucket"

CANNOT_CANCEL = {httpx.codes.CONFLICT, httpx.codes.SERVICE_UNAVAILABLE}
"""The job has ended, or the queue does not respond."""

MOMENT_SECONDS = 0.1
"""How long a step waits for its own answer, before the next step is taken all the same."""

STILL_KNOWN_SECONDS = KNOWN_SECONDS + 1.0
"""For that long after a purge, another machine, or the CDN, may still lead to a derivative."""


class Violation(Exception):
    """A promise was broken."""


@dataclass(kw_only=True)
class Picture:
    """A picture of the site. Ticks count what happened on the whole site, in its order."""

    key: str
    etag: str | None = None
    """Of today's original; None if there is none."""
    written: int = 0
    """The tick after the original was last written or deleted."""
    touched: int = 0
    """The tick before that, and before the last purge: since then a derivative may be missing or stale."""
    purged: int = 0
    """The tick after the last purge."""
    purging: int = 0
    """How many purges have begun and may go on: one without an answer may for ever."""
    reporting: int = 0
    """How many events about it are not answered: each may have created a job."""
    is_purged: bool = False
    """Whether the last purge succeeded, and nothing that renders was requested since it began."""
    disturbed_at: float = 0.0
    """When a derivative was last deleted (monotonic seconds)."""
    was_absent: int = 0
    """The tick at which there last was no original."""
    is_leaving: bool = False
    """Whether it was requested to take it down; the picture is then used for nothing else."""
    is_taken_down: bool = False
    """Whether that was accepted, and no later post since."""
    is_stray: bool = False
    """Whether an original was uploaded since, without a post."""


@dataclass(kw_only=True)
class Post:
    """A message to the service, perhaps repeated."""

    picture: Picture
    message_id: str
    body: bytes
    has_callback: bool
    began: int
    """The tick before it was first sent."""
    is_answered: bool = False
    """Whether it was accepted or refused: a message without an answer may have created a job."""


@dataclass(kw_only=True)
class Promise:
    """A job that was accepted."""

    picture: Picture
    accepted: int
    """The tick before the last message that was answered with this job."""
    first: int
    """The tick before the first one."""
    is_cancelled: bool = False
    """Whether somebody tried to cancel it."""
    is_takedown: bool = False
    runs: set[str] = field(default_factory=set)
    """When each run of it was created, as the answers state it, if its end has to be reported."""


class Site:
    """A site that acts at once, and notes what it was promised when the answers arrive."""

    def __init__(self, nodes: Sequence[Node], bucket: Bucket, photos: Sequence[Path], callback_url: str) -> None:
        self.nodes, self.bucket, self.photos = nodes, bucket, photos
        self.pictures: list[Picture] = []
        self.posts: list[Post] = []
        self.promises: dict[str, Promise] = {}
        self.named: dict[str, str] = {}
        """Message id -> job id, of posts that created their job."""
        self.violations: deque[str] = deque()
        self.answers: deque[str] = deque(maxlen=200)
        """What was answered last, for the report of a failure."""
        self.most_waiting = 0
        """How many jobs waited at most, since it was last set to 0."""
        self._callback_url = callback_url
        self._checksums = {hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos}
        self._numbers = itertools.count(1)
        self._ticks = itertools.count(1)
        self._lock = threading.RLock()
        self._threads = ThreadPoolExecutor(SENDERS)
        self._open: set[Future[None]] = set()
        self._client = httpx.Client(timeout=ANSWER_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))

    def close(self) -> None:
        """End every request."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def forget(self) -> None:
        """Begin without pictures."""
        self.posts.clear()
        self.pictures = []

    def add_picture(self) -> Picture:
        """Upload a new picture, and return it."""
        number = next(self._numbers)
        picture = Picture(key=f"gall/{number}/{number}_1_original.jpg")
        self.write(picture)
        self.pictures.append(picture)
        return picture

    def tick(self) -> int:
        """Return the next tick."""
        return next(self._ticks)

    def write(self, picture: Picture) -> None:
        """Write other bytes as the original of a picture."""
        began = self.tick()
        with self._lock:
            picture.touched, picture.is_purged = began, False
            if picture.etag is None:
                picture.was_absent = began  # a job that was posted before may have ended without an original
        etag = self.bucket.put(picture.key, self.photos[began % len(self.photos)])
        picture.etag, picture.written = etag, self.tick()

    def post(self, picture: Picture, node: Node, *, has_callback: bool) -> None:
        """Post a job for a picture."""
        number = next(self._numbers)
        post = Post(
            picture=picture,
            message_id=f"msg_{number}_{time.time_ns()}",
            body=order(picture.key, callback_url=self._callback_url if has_callback else ""),
            has_callback=has_callback,
            began=self.tick(),
        )
        self.posts.append(post)
        self.send(post, node)

    def send(self, post: Post, node: Node) -> None:
        """Send a message, perhaps again."""
        self._begin(post.picture)
        self._do(lambda: self._send(post, node))

    def replay(self, job_id: str, node: Node) -> None:
        """Run an ended job again."""
        self._begin(self.promises[job_id].picture)
        self._do(lambda: self._replay(job_id, node))

    def cancel(self, job_id: str, node: Node) -> None:
        """Cancel a job."""
        self.promises[job_id].is_cancelled = True
        self._do(lambda: self._cancel(job_id, node))

    def pause(self, node: Node, *, is_paused: bool) -> bool:
        """Pause the queue, or resume it; return whether that succeeded."""
        address = f"/v1/queue/{'pause' if is_paused else 'resume'}"
        with suppress(httpx.TransportError):
            return self._client.post(
                f"{node.url}{address}", headers=_signed(node, f"POST {address}".encode()), timeout=PAUSE_SECONDS
            ).is_success
        return False

    def purge(self, picture: Picture, node: Node, *, with_original: bool) -> None:
        """Delete all derivatives of a picture, with or without its original."""
        began = self.tick()
        with self._lock:
            picture.touched, picture.is_purged, picture.disturbed_at = began, True, time.monotonic()
            picture.purging += 1
        if with_original:
            self.remove(picture)
        self._do(lambda: self._purge(picture, node, began))

    def take_down(self, picture: Picture, node: Node) -> None:
        """Request that a picture is taken down: from now on the service removes its original too."""
        began = self.tick()
        with self._lock:
            picture.touched, picture.disturbed_at, picture.is_leaving = began, time.monotonic(), True
            picture.etag, picture.was_absent, picture.purging = None, began, picture.purging + 1
        self._do(lambda: self._take_down(picture, node, began))

    def stray(self, picture: Picture) -> None:
        """Upload an original of a picture that was taken down, by a URL that was still valid, and post nothing."""
        picture.is_stray = True
        self.bucket.put(picture.key, self.photos[0])

    def remove(self, picture: Picture) -> None:
        """Delete the original of a picture."""
        self.bucket.remove(picture.key)
        picture.etag, picture.was_absent, picture.written = None, self.tick(), self.tick()

    def report(self, picture: Picture, node: Node, *, is_removal: bool) -> None:
        """Report that an original was removed or written, as its bucket does: perhaps late, again, or out of order."""
        began = self.tick()
        with self._lock:
            picture.reporting += 1
            if is_removal:
                picture.touched, picture.is_purged, picture.disturbed_at = began, picture.etag is None, time.monotonic()
                picture.purging += 1
        if not is_removal:
            self._begin(picture)
        self._do(lambda: self._report(picture, node, began, is_removal=is_removal))

    def look(self, picture: Picture, node: Node, size: str) -> None:
        """View a page with a picture."""
        self._begin(picture)
        self._do(lambda: self._look(picture, node, size))

    def describe(self, picture: Picture, node: Node) -> None:
        """Request what a page needs to know of a picture."""
        self._begin(picture)
        self._do(lambda: self._describe(picture, node))

    def read_facts(self, picture: Picture, node: Node) -> None:
        """Request the facts of an original."""
        self._do(lambda: self._read_facts(picture, node))

    def count_waiting(self, node: Node) -> None:
        """Look how many jobs wait; `most_waiting` is the highest number so far."""

        def look() -> None:
            address = "/v1/queue"
            answer = self._client.get(f"{node.url}{address}", headers=_signed(node, f"GET {address}".encode()))
            if answer.is_success:
                self.most_waiting = max(self.most_waiting, answer.json()["waiting"])

        self._do(look)

    def wait(self, seconds: float) -> bool:
        """Wait until every request was answered, or given up; return False on a timeout."""
        _, waiting = wait(self._open, timeout=seconds)
        self._open = set(waiting)
        return not waiting

    def job(self, job_id: str, node: Node) -> dict[str, Any] | None:
        """Return a job as the service shows it; None if there is no answer."""
        with suppress(httpx.TransportError):
            answer = self._client.get(f"{node.url}/v1/jobs/{job_id}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                self.violations.append(f"job {job_id} was accepted, and is not known any longer")
            if answer.is_success:
                job: dict[str, Any] = answer.json()
                return job
        return None

    def has_ended(self, picture: Picture, node: Node) -> bool:
        """Return whether a picture has jobs, as far as the site knows, and a machine shows that all have ended."""
        with self._lock:
            promised = [job_id for job_id, promise in self.promises.items() if promise.picture is picture]
        jobs = [self.job(job_id, node) for job_id in promised]
        return bool(jobs) and all(job is not None and job["status"] in {"done", "error"} for job in jobs)

    def live_jobs(self, node: Node, status: str) -> list[dict[str, Any]] | None:
        """Return the jobs with a status; None if there is no answer."""
        address = f"/v1/jobs?status={status}&limit=100"
        with suppress(httpx.TransportError):
            answer = self._client.get(f"{node.url}{address}", headers=_signed(node, f"GET {address}".encode()))
            if answer.is_success:
                jobs: list[dict[str, Any]] = answer.json()["jobs"]
                return jobs
        return None

    def _begin(self, picture: Picture) -> None:
        """Note that something may be rendered again of a picture, if it has an original."""
        if picture.etag:
            picture.is_purged = False

    def _do(self, request: Callable[[], None]) -> None:
        def run() -> None:
            try:
                request()
            except httpx.TransportError as lost:
                self.answers.append(f"{time.time():.3f} {type(lost).__name__}")

        future = self._threads.submit(run)
        self._open = {one for one in self._open if not one.done()} | {future}
        with suppress(TimeoutError):
            future.result(MOMENT_SECONDS)

    def _send(self, post: Post, node: Node) -> None:
        began, headers = time.monotonic(), _signed(node, post.body, message_id=post.message_id)
        created = self.named.get(post.message_id)
        answer = self._client.post(f"{node.url}/v1/jobs", content=post.body, headers=headers)
        self._note("post", post.picture, node, answer)
        if answer.status_code == httpx.codes.ACCEPTED:
            self._keep(answer.json(), post, created=created)
            post.is_answered = True
        elif answer.status_code not in DECLINED and not (post.picture.is_leaving and answer.status_code == CONFLICT):
            self._refused("post", node, answer, began=began)

    def _keep(self, job: dict[str, Any], post: Post, *, created: str | None = None) -> None:
        """Note what a message was answered, which had `created` a job, as was known before it was sent this time.

        A message that was sent twice at once may have joined a job first, and created one after that had ended, and the
        answers may come in the other order.
        """
        with self._lock:
            if job["key"] != post.picture.key:
                self.violations.append(f"a post for {post.picture.key} was answered with a job for {job['key']}")
            if created and created != job["id"]:
                self.violations.append(f"{post.message_id} created {created}, and was then answered {job['id']}")
            others = [one for one in self.posts if one.picture is post.picture and one is not post]
            if job["id"] not in self.promises:
                post.picture.is_taken_down = False  # the message came late, but it was signed after the takedown
            if job["id"] not in self.promises and not post.picture.reporting and all(one.is_answered for one in others):
                self.named[post.message_id] = job["id"]  # no other message can have created it
            fresh = Promise(picture=post.picture, accepted=post.began, first=post.began)
            promise = self.promises.setdefault(job["id"], fresh)
            promise.accepted = max(promise.accepted, post.began)
            if post.has_callback:
                promise.runs.add(job["created_at"])

    def _replay(self, job_id: str, node: Node) -> None:
        address, tick, began = f"/v1/jobs/{job_id}/replay", self.tick(), time.monotonic()
        answer = self._client.post(f"{node.url}{address}", headers=_signed(node, f"POST {address}".encode()))
        promise = self.promises[job_id]
        self._note("replay", promise.picture, node, answer)
        if answer.is_success:
            with self._lock:
                promise.accepted = max(promise.accepted, tick)
                if promise.runs:
                    promise.runs.add(answer.json()["created_at"])
        elif answer.status_code not in DECLINED and not (promise.is_takedown and answer.status_code == CONFLICT):
            self._refused("replay", node, answer, began=began)

    def _cancel(self, job_id: str, node: Node) -> None:
        address, began = f"/v1/jobs/{job_id}/cancel", time.monotonic()
        answer = self._client.post(f"{node.url}{address}", headers=_signed(node, f"POST {address}".encode()))
        self._note("cancel", self.promises[job_id].picture, node, answer)
        if not answer.is_success and answer.status_code not in CANNOT_CANCEL:
            self._refused("cancellation", node, answer, began=began)

    def _purge(self, picture: Picture, node: Node, began: int) -> None:
        address = f"/v1/derivatives/{quote(picture.key)}"
        try:
            answer = self._client.delete(f"{node.url}{address}", headers=_signed(node, f"DELETE {address}".encode()))
        except httpx.TransportError:
            picture.is_purged = False
            raise
        self._note("purge", picture, node, answer)
        with self._lock:
            picture.purged, picture.disturbed_at = self.tick(), time.monotonic()
            picture.purging -= 1
            picture.is_purged = picture.is_purged and answer.is_success and picture.touched == began

    def _take_down(self, picture: Picture, node: Node, tick: int) -> None:
        address, began = f"/v1/images/{quote(picture.key)}?callback_url={quote(self._callback_url)}", time.monotonic()
        answer = self._client.delete(f"{node.url}{address}", headers=_signed(node, f"DELETE {address}".encode()))
        self._note("takedown", picture, node, answer)
        if answer.status_code == httpx.codes.ACCEPTED:
            with self._lock:
                picture.is_taken_down = True
                promise = Promise(picture=picture, accepted=tick, first=tick, is_takedown=True)
                self.promises[answer.json()["id"]] = promise
                promise.runs.add(answer.json()["created_at"])
        elif answer.status_code not in NOT_NOW:
            self._refused("takedown", node, answer, began=began)

    def _report(self, picture: Picture, node: Node, began: int, *, is_removal: bool) -> None:
        sent = time.monotonic()
        body = {
            "action": "DeleteObject" if is_removal else "PutObject",
            "bucket": PUBLIC_BUCKET,
            "object": {"key": picture.key},
        }
        try:
            answer = self._client.post(f"{node.url}/v1/events/s3?token={EVENTS_TOKEN}", json=body)
        except httpx.TransportError:
            picture.is_purged = False
            raise
        self._note("removal" if is_removal else "event", picture, node, answer)
        if answer.is_success:
            self._keep_outcome(picture, answer.json()["events"][0], began, is_removal=is_removal)
            return
        picture.is_purged = False
        if answer.status_code not in NOT_NOW:
            self._refused("report", node, answer, began=sent)

    def _keep_outcome(self, picture: Picture, handled: dict[str, str], began: int, *, is_removal: bool) -> None:
        """Note what an event was answered with."""
        outcome, job = handled["outcome"], handled.get("job")
        with self._lock:
            picture.reporting -= 1
            if is_removal:
                picture.purging -= 1
                picture.disturbed_at = time.monotonic()
                picture.is_purged = picture.is_purged and outcome == "purged" and picture.touched == began
                if outcome != "fresh":
                    picture.purged = self.tick()
            if outcome in GONE and picture.etag and picture.written < began:
                self.violations.append(f"{picture.key} was there, but an event about it was answered {outcome!r}")
            if job:
                promise = self.promises.setdefault(job, Promise(picture=picture, accepted=began, first=began))
                promise.accepted = max(promise.accepted, began)

    def _look(self, picture: Picture, node: Node, size: str) -> None:
        began = time.monotonic()
        answer = self._client.get(f"{node.url}/img/{quote(picture.key)}/{size}", follow_redirects=False)
        self._note(f"view {size}", picture, node, answer)
        if answer.status_code == httpx.codes.FOUND:
            self._follow(answer.headers["location"], f"a page view at {size}", picture, node, began=began)

    def _describe(self, picture: Picture, node: Node) -> None:
        began = time.monotonic()
        answer = self._client.get(f"{node.url}/v1/images/{quote(picture.key)}")
        self._note("description", picture, node, answer)
        for size in answer.json()["sizes"] if answer.is_success else ():
            self._follow(size["url"], "a description", picture, node, began=began)

    def _follow(self, url: str, what: str, picture: Picture, node: Node, *, began: float) -> None:
        """Note a violation if a URL that the service returned leads nowhere, and nobody has deleted anything."""
        shown = self._client.get(url)
        is_calm = not picture.purging and picture.disturbed_at + STILL_KNOWN_SECONDS < began
        if not shown.is_success and is_calm:
            self.violations.append(
                f"{what} of {picture.key} by {node.name} led to {url}, which answers {shown.status_code}"
            )

    def _read_facts(self, picture: Picture, node: Node) -> None:
        address, began = f"/v1/facts/{quote(picture.key)}", time.monotonic()
        answer = self._client.get(f"{node.url}{address}", headers=_signed(node, f"GET {address}".encode()))
        self._note("facts", picture, node, answer)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._refused("request for facts", node, answer, began=began)
        elif answer.is_success and answer.json()["sha256"] not in self._checksums:
            self.violations.append(f"{node.name} returned facts of {picture.key} that are of no picture: {answer.text}")

    def _refused(self, what: str, node: Node, answer: httpx.Response, *, began: float) -> None:
        """Note an answer that was not to be expected, unless the machine's clock was set meanwhile."""
        if answer.status_code != httpx.codes.UNAUTHORIZED or node.clock.changed_at < began - SETTLE_SECONDS:
            self.violations.append(f"a {what} was answered {answer.status_code} by {node.name}: {answer.text}")

    def _note(self, what: str, picture: Picture, node: Node, answer: httpx.Response) -> None:
        if answer.is_error and answer.headers.get("content-type") != PROBLEM:
            self.violations.append(f"a {what} was answered {answer.status_code} by {node.name} without a problem")
        told = ""
        with suppress(ValueError):
            told = answer.json().get("id", "") or answer.json().get("type", "")
        self.answers.append(f"{time.time():.3f} {what} {picture.key} by {node.name}: {answer.status_code} {told}")


def _signed(node: Node, body: bytes, *, message_id: str | None = None) -> dict[str, str]:
    """Return the headers that sign a body by the clock of a machine: a sender whose clock agrees with it."""
    return signed(body, message_id=message_id, now=datetime.fromtimestamp(node.clock.now(), tz=UTC))
