"""Runs a real SeaweedFS on loopback, as the service's bucket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import msgspec
from botocore.session import get_session

from loadtest.servers.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.client import BaseClient

START_SECONDS = 60
STOP_SECONDS = 3
LISTENERS = ("master", "filer", "volume", "s3", "admin")
"""Its components that have a port, in order of their ports."""

GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC this far above each HTTP port, so both must be free."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The credentials of a client of the server; they are made up and protect nothing."""

    access_key_id: str
    secret_access_key: str


ADMIN = Keys("admin-key", "admin-secret")
WRITER = Keys("writer-key", "writer-secret")
"""May put objects into the buckets, and do nothing else."""

BUCKET = "images"
PUBLIC_BUCKET = "public-images"
"""Readable without credentials, but not listable."""

_IDENTITIES = {
    "identities": [
        {
            "name": "admin",
            "credentials": [{"accessKey": ADMIN.access_key_id, "secretKey": ADMIN.secret_access_key}],
            "actions": ["Admin"],
        },
        {
            "name": "writer",
            "credentials": [{"accessKey": WRITER.access_key_id, "secretKey": WRITER.secret_access_key}],
            "actions": [],  # not even to write, which would permit deletion: see `_let_writer_put`
        },
        {"name": "anonymous", "actions": [f"Read:{PUBLIC_BUCKET}"]},
    ]
}


@dataclass(frozen=True, slots=True)
class Seaweed:
    """A running SeaweedFS that has `BUCKET` and `PUBLIC_BUCKET`."""

    port: int

    def beside(self, name: str) -> str:
        """Return the host and port of another of its `LISTENERS`."""
        return f"127.0.0.1:{self.port + LISTENERS.index(name) - LISTENERS.index('s3')}"

    @property
    def url(self) -> str:
        """The address of the S3 endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, keys: Keys = ADMIN) -> BaseClient:
        """Return an S3 client independent of the service, to upload originals and inspect buckets."""
        return get_session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
        )

    def put(self, key: str, photo: Path, *, bucket: str = PUBLIC_BUCKET) -> None:
        """Upload a file."""
        with photo.open("rb") as body:
            self.client().put_object(Bucket=bucket, Key=key, Body=body)


def program() -> str | None:
    """Return the path of SeaweedFS, beside the interpreter or on PATH, or None."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


@dataclass(frozen=True, slots=True)
class EventTarget:
    """Where the filer posts its events, and the token that it presents."""

    url: str
    token: str

    def toml(self) -> str:
        """Return the part of `notification.toml` that sets it."""
        options = {"endpoint": self.url, "bearer_token": self.token}
        lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in options.items()]
        return "\n".join(["[notification.webhook]", "enabled = true", "backoff_seconds = 1", *lines, ""])


@contextmanager
def running(folder: Path, *, events_to: EventTarget | None = None) -> Iterator[Seaweed]:
    """Run SeaweedFS with its data in `folder`, on loopback only and without telemetry."""
    if events_to:
        (folder / "notification.toml").write_text(events_to.toml(), encoding="utf-8")
    (folder / "s3.json").write_bytes(msgspec.json.encode(_IDENTITIES))
    (folder / "data").mkdir()
    ports = _free_ports()
    with (folder / "log").open("wb") as log:
        weed = subprocess.Popen(_command(ports), cwd=folder, stdout=log, stderr=log, env=_environment(folder))
        try:
            _wait_until_ready(weed, ports["s3"], folder / "log")
            one = Seaweed(ports["s3"])
            _let_writer_put(one)
            yield one
        finally:
            _stop(weed)


def _command(ports: dict[str, int]) -> list[str]:
    listeners = [f"-{name}.port={port}" for name, port in ports.items()]
    only_loopback = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]
    no_more = ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    buckets = f"-bucket={BUCKET},{PUBLIC_BUCKET}"
    return [
        program() or "weed",
        "mini",
        "-dir=data",
        "-s3.config=s3.json",
        buckets,
        *only_loopback,
        *no_more,
        *listeners,
    ]


def _environment(folder: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_", "WEED_"))}
    return {**plain, "HOME": str(folder)}


def _free_ports() -> dict[str, int]:
    places = range(len(LISTENERS))
    ports = free_ports((*places, *(place + GRPC_OFFSET for place in places)))
    return dict(zip(LISTENERS, ports[: len(LISTENERS)], strict=True))


def _wait_until_ready(weed: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and weed.poll() is None:
        if all(_answers(f"http://127.0.0.1:{port}/{bucket}/none") for bucket in (BUCKET, PUBLIC_BUCKET)):
            return
        with suppress(subprocess.TimeoutExpired):
            weed.wait(0.1)
    raise RuntimeError(f"SeaweedFS did not start: {log.read_text()[-2000:]}")


def _let_writer_put(weed: Seaweed) -> None:
    for bucket in (BUCKET, PUBLIC_BUCKET):
        puts_only = {
            "Effect": "Allow",
            "Principal": {"AWS": ["arn:aws:iam::000000000000:user/writer"]},
            "Action": ["s3:PutObject"],
            "Resource": [f"arn:aws:s3:::{bucket}/*"],
        }
        policy = msgspec.json.encode({"Version": "2012-10-17", "Statement": [puts_only]}).decode()
        weed.client().put_bucket_policy(Bucket=bucket, Policy=policy)


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):  # noqa: S310 - loopback
            return True
    except HTTPError as error:
        with error:
            return b"NoSuchBucket" not in error.read() and error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except (URLError, OSError):
        return False


def _stop(weed: subprocess.Popen[bytes]) -> None:
    weed.send_signal(signal.SIGTERM)
    try:
        weed.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        weed.kill()
        weed.wait()
