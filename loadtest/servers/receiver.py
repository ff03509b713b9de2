"""A receiver of callbacks that verifies their signatures and records them."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from loadtest.servers.service import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_BODY_BYTES = 1 << 20


class Event(msgspec.Struct, frozen=True):
    """The body of a callback; `data` is the job as `GET /v1/jobs/<id>` returns it."""

    type: str
    timestamp: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A delivery attempt with a valid signature; `status` is the response that it got."""

    id: str
    event: Event
    headers: dict[str, str]
    status: int


class Receiver(ThreadingHTTPServer):
    """A server on a free loopback port that answers each POST with the next of `statuses`, then with 204."""

    daemon_threads = True

    def __init__(self, *, secret: str = SECRET, statuses: Sequence[int] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.received: list[Received] = []
        """Every attempt so far with a valid signature, in order of arrival."""
        self.forged = 0
        """How many attempts were not signed with the secret; their response is 401."""
        self._webhook = Webhook(secret)
        self._statuses = list(statuses)
        self._refusal: int | None = None
        self._news = threading.Condition()

    @property
    def url(self) -> str:
        """The address for callbacks."""
        return f"{self.listed}/callbacks"

    @property
    def listed(self) -> str:
        """This receiver's entry in CALLBACK_HOSTS."""
        return f"http://127.0.0.1:{self.server_port}"

    def refuse(self, status: int | None) -> None:
        """Answer each attempt with `status` from now on, as a receiver that is down; None ends that."""
        with self._news:
            self._refusal = status

    def taken(self) -> list[Received]:
        """Return the callbacks that were answered with success; the same one may occur more than once."""
        with self._news:
            return [one for one in self.received if HTTPStatus.OK <= one.status < HTTPStatus.MULTIPLE_CHOICES]

    def jobs(self) -> set[str]:
        """Return the ids of the jobs whose callbacks were received."""
        return {one.event.data["id"] for one in self.taken()}

    def wait_for(self, jobs: set[str], *, seconds: float) -> bool:
        """Wait until the callbacks of all these jobs were received; return False on a timeout."""
        with self._news:
            return self._news.wait_for(lambda: jobs <= self.jobs(), timeout=seconds)

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Record an attempt, and return the status of the response."""
        with self._news:
            try:
                self._webhook.verify(body, headers, json_parse=False)
            except (WebhookVerificationError, ValueError):
                self.forged += 1
                return HTTPStatus.UNAUTHORIZED
            status = self._refusal or (self._statuses.pop(0) if self._statuses else HTTPStatus.NO_CONTENT)
            event = msgspec.json.decode(body, type=Event)
            self.received.append(Received(id=headers["webhook-id"], event=event, headers=headers, status=status))
            self._news.notify_all()
            return status


class _Post(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Receive a callback; an incomplete one, whose sender died, is neither recorded nor answered."""
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
        """Log nothing."""


@contextlib.contextmanager
def receiving(*, secret: str = SECRET, statuses: Sequence[int] = ()) -> Iterator[Receiver]:
    """Yield a receiver that listens for the length of the block."""
    with Receiver(secret=secret, statuses=statuses) as receiver:
        listening = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05})
        listening.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            listening.join()
