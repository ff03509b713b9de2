"""A receiver of callbacks: it verifies each and writes down those that are genuine."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from loadtest.service import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_BODY_BYTES = 1 << 20


class Event(msgspec.Struct, frozen=True):
    """What a callback says: `data` is the job as `GET /v1/jobs/<id>` gives it."""

    type: str
    timestamp: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One attempt to deliver, of which the signature is good; `status` is what it was answered."""

    id: str
    event: Event
    headers: dict[str, str]
    status: int


class Receiver(ThreadingHTTPServer):
    """Listens on a free loopback port and answers each POST with the next of `statuses`, then with 204."""

    daemon_threads = True

    def __init__(self, *, secret: str = SECRET, statuses: Sequence[int] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.received: list[Received] = []
        """Every attempt so far whose signature was good, in the order they came."""
        self.forged = 0
        """How many were not signed with the secret; they are answered 401."""
        self._webhook = Webhook(secret)
        self._statuses = list(statuses)
        self._news = threading.Condition()

    @property
    def url(self) -> str:
        """Where callbacks are taken."""
        return f"{self.listed}/callbacks"

    @property
    def listed(self) -> str:
        """How CALLBACK_HOSTS names this receiver."""
        return f"http://127.0.0.1:{self.server_port}"

    def taken(self) -> list[Received]:
        """Give the callbacks that were answered with success; one may be there more than once."""
        with self._news:
            return [one for one in self.received if HTTPStatus.OK <= one.status < HTTPStatus.MULTIPLE_CHOICES]

    def jobs(self) -> set[str]:
        """Give the ids of the jobs whose end was told here."""
        return {one.event.data["id"] for one in self.taken()}

    def wait_for(self, jobs: set[str], *, seconds: float) -> bool:
        """Wait until the end of all these jobs was told; False when it was not in time."""
        with self._news:
            return self._news.wait_for(lambda: jobs <= self.jobs(), timeout=seconds)

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Write an attempt down; give the status to answer."""
        with self._news:
            try:
                self._webhook.verify(body, headers, json_parse=False)
            except (WebhookVerificationError, ValueError):
                self.forged += 1
                return HTTPStatus.UNAUTHORIZED
            status = self._statuses.pop(0) if self._statuses else HTTPStatus.NO_CONTENT
            event = msgspec.json.decode(body, type=Event)
            self.received.append(Received(id=headers["webhook-id"], event=event, headers=headers, status=status))
            self._news.notify_all()
            return status


class _Post(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Take a callback; one whose sender died before all of it was sent is no attempt, and gets no answer."""
        length = min(int(self.headers.get("content-length", MAX_BODY_BYTES)), MAX_BODY_BYTES)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(self.server.take(body, headers))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def receiving(*, secret: str = SECRET, statuses: Sequence[int] = ()) -> Iterator[Receiver]:
    """Lend a receiver that listens as long as the block lasts."""
    with Receiver(secret=secret, statuses=statuses) as receiver:
        listening = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05})
        listening.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            listening.join()
