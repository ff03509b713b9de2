"""A server that receives the callback of a job, and verifies its signature."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from proxy.jobs.completion import JobEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_BODY_BYTES = 1 << 20

SLOW_SECONDS = 10.0
"""How long a client may take to send its request."""


class CallbackListener(ThreadingHTTPServer):
    """A server at `host` and `port` that answers callbacks with 204, and others with 401."""

    daemon_threads = True

    def __init__(self, host: str, port: int, *, secrets: Sequence[str]) -> None:
        super().__init__((host, port), _Callback)
        self._webhooks = [Webhook(secret) for secret in secrets]
        self._received: dict[str, JobEvent] = {}
        self._news = threading.Condition()
        self.rejected = 0
        """How many requests were not signed with the secret, or were not callbacks."""

    def take(self, body: bytes, headers: dict[str, str]) -> HTTPStatus:
        """Record a callback; return the status of the response."""
        with self._news:
            try:
                event = msgspec.json.decode(body, type=JobEvent)
            except ValueError:
                event = None
            if event is None or not self._is_signed(body, headers):
                self.rejected += 1
                return HTTPStatus.UNAUTHORIZED
            self._received[event.data.id] = event
            self._news.notify_all()
            return HTTPStatus.NO_CONTENT

    def _is_signed(self, body: bytes, headers: dict[str, str]) -> bool:
        """Return whether a callback is signed with one of the secrets, if there are any."""
        for webhook in self._webhooks:
            with suppress(WebhookVerificationError, ValueError):  # another secret, or a malformed header
                webhook.verify(body, headers, json_parse=False)
                return True
        return not self._webhooks

    def wait_for(self, job_id: str, *, seconds: float) -> JobEvent | None:
        """Return the callback about a job as soon as it is there; None if it is not there in time."""
        with self._news:
            self._news.wait_for(lambda: job_id in self._received, timeout=seconds)
            return self._received.get(job_id)


class _Callback(BaseHTTPRequestHandler):
    server: CallbackListener
    timeout = SLOW_SECONDS

    def do_POST(self) -> None:
        """Receive a callback."""
        announced = self.headers.get("content-length", "")
        length = int(announced) if announced.isascii() and announced.isdigit() else 0
        body = self.rfile.read(min(length, MAX_BODY_BYTES))
        self.send_response(self.server.take(body, {name.lower(): value for name, value in self.headers.items()}))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def listening_for_callbacks(host: str, port: int, *, secrets: Sequence[str]) -> Iterator[CallbackListener]:
    """Yield a listener for the duration of the block.

    Raises:
        OSError: the address cannot be used.
    """
    with CallbackListener(host, port, secrets=secrets) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            listener.shutdown()
            thread.join()
