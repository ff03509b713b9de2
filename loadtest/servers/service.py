"""Runs a service in a process of its own: on free loopback ports, on an empty folder, stopped at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import httpx
import msgspec
from standardwebhooks import Webhook

from loadtest.servers.ports import free_port
from loadtest.servers.seaweed import PUBLIC_BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadtest.servers.seaweed import Keys, Seaweed

START_SECONDS = 30.0
STOP_SECONDS = 30.0
SECRET = "whsec_" + "Z2FsbGZvcm1lcnMgaW1hZ2VzIHRlc3Qga2V5"
"""The secret of services that run for a demonstration or a test; it protects nothing."""


@dataclass
class Service:
    """A `gf-images serve` or `worker` process on a folder, which stays when the process is killed or restarted."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    weed: Seaweed | None = None
    """The server of its bucket; None if its store is a folder."""
    command: Literal["serve", "worker"] = "serve"
    entry: tuple[str, ...] = ()
    """A prefix of its command, such as one that moves the process into a control group."""
    program: tuple[str, ...] = (sys.executable, "-m", "proxy")
    """The program that takes the command: this checkout, or the entry point of an image."""
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address at which it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> Path:
        """The folder of its file store."""
        return self.folder / "store"

    @property
    def scratch(self) -> Path:
        """Its folder for temporary files."""
        return self.folder / "scratch"

    @property
    def log(self) -> Path:
        """The log of all its starts."""
        return self.folder / "log.jsonl"

    def put(self, key: str, photo: Path) -> None:
        """Put an original where a site's upload would."""
        if self.weed is not None:
            self.weed.put(key, photo)
            return
        path = self.store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, path)

    def create_store(self) -> None:
        """Create the folder of the store, which the service does only for its default one, for the user of its own."""
        if not self.store.exists():
            self.store.mkdir()
            owner = self.folder.stat()
            os.chown(self.store, owner.st_uid, owner.st_gid)

    def start(self) -> None:
        """Start the process, without waiting until it is ready."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.create_store()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.entry, *self.program, self.command], env=self.environment(), stdout=log, stderr=log
            )

    def environment(self) -> dict[str, str]:
        """Return the environment of the process; its settings for malloc are those of the shipped image."""
        return {
            "MALLOC_ARENA_MAX": "1",
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "TMPDIR": str(self.scratch),
            "PORT": str(self.port),
            "METRICS_PORT": str(self.metrics_port),
            "STORE": f"file://{self.store}",
            "QUEUE": f"sqlite:////{str(self.folder / 'queue.db').lstrip('/')}",
            "WEBHOOK_SECRETS": SECRET,
            **self.settings,
        }

    def wait_until_ready(self) -> None:
        """Return when `/readyz` succeeds or, for a worker, which has none, when it serves metrics.

        Raises:
            RuntimeError: it ended or took too long; the message has the end of its log.
        """
        says = f"{self.url}/readyz" if self.command == "serve" else f"http://127.0.0.1:{self.metrics_port}/metrics"
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(timeout=10) as client:
            while time.monotonic() < deadline:
                if self.process is None or self.process.poll() is not None:
                    break
                with contextlib.suppress(httpx.TransportError):
                    if client.get(says).is_success:
                        return
                time.sleep(0.05)
        raise RuntimeError(f"the service did not get ready; its log ends with:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill the main process, but not its render processes."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def cut_power(self) -> None:
        """Kill all its processes at once."""
        children = self.children()
        self.kill()
        _kill(children)

    def kill_children(self) -> None:
        """Kill its render processes."""
        _kill(self.children())

    def children(self) -> set[int]:
        """Return the ids of its render processes."""
        if self.process is None:
            return set()
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return {int(pid) for task in tasks for pid in task.read_text(encoding="ascii").split()}

    def stop(self) -> int:
        """Ask it to stop, as a platform does; give its exit status.

        Raises:
            TimeoutExpired: it did not in time, and was killed.
        """
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.cut_power()
            raise


def _kill(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def on_bucket(weed: Seaweed, keys: Keys, *, bucket: str = PUBLIC_BUCKET, **more: str) -> dict[str, str]:
    """Return the settings of a service whose store is a bucket of that server."""
    return {
        "STORE": f"s3://{bucket}",
        "S3_ENDPOINT_URL": weed.url,
        "S3_ADDRESSING": "path",
        "S3_ACL": "",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "PUBLIC_BASE_URL": f"{weed.url}/{bucket}",
        **more,
    }


@contextlib.contextmanager
def running(folder: Path, *, weed: Seaweed | None = None, **settings: str) -> Iterator[Service]:
    """Yield a service that is ready; it is stopped when the block ends, whatever happens."""
    with started(Service(folder=folder, settings=settings, weed=weed)) as service:
        yield service


@contextlib.contextmanager
def starting(service: Service) -> Iterator[Service]:
    """Start a service, and do not wait for it; what runs of it when the block ends is killed."""
    service.start()
    try:
        yield service
    finally:
        service.cut_power()


@contextlib.contextmanager
def started(service: Service) -> Iterator[Service]:
    """Start a service and yield it when it is ready; it is stopped when the block ends, whatever happens."""
    service.start()
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()


def signed(
    body: bytes, *, secret: str = SECRET, message_id: str | None = None, now: datetime | None = None
) -> dict[str, str]:
    """Return the headers that sign a body by the Standard Webhooks scheme, at a time (default: this moment)."""
    message_id = message_id or f"msg_{uuid4().hex}"
    now = now or datetime.now(tz=UTC)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
    }


def order(key: str, *sizes: str, callback_url: str = "", force: bool = False) -> bytes:
    """Return the body of a job for some sizes of an original, or for all.

    `callback_url` is called when the job has ended. With `force`, fresh derivatives are generated again.
    """
    told = {"callback_url": callback_url} if callback_url else {}
    asked = {"sizes": sizes} if sizes else {}
    return msgspec.json.encode({"key": key, **asked, **told, **({"force": True} if force else {})})
