"""The stores to which a load test uploads originals: a folder or a bucket."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import click
from botocore.session import get_session

if TYPE_CHECKING:
    from botocore.client import BaseClient


class Store(Protocol):
    """A store from which the service reads originals."""

    def put(self, key: str, photo: Path) -> None:
        """Store a file under `key`."""
        ...

    def delete(self, key: str) -> None:
        """Delete the file under `key`."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a file store."""

    root: Path

    def put(self, key: str, photo: Path) -> None:
        """Copy a file to `key`."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, path)

    def delete(self, key: str) -> None:
        """Delete the file, and its folder if it is empty."""
        path = self.root / key
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of a server with an S3 interface."""

    client: BaseClient
    name: str

    def put(self, key: str, photo: Path) -> None:
        """Upload a file."""
        with photo.open("rb") as body:
            self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType="image/jpeg")

    def delete(self, key: str) -> None:
        """Delete the object."""
        self.client.delete_object(Bucket=self.name, Key=key)


def opened(address: str) -> Store:
    """Return the store at an address in the format of STORE; botocore's own settings apply to a bucket.

    Raises:
        click.UsageError: the address is neither a folder nor a bucket.
    """
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.path:
        return Folder(Path(parts.netloc + parts.path))
    if parts.scheme == "s3" and parts.netloc:
        endpoint = os.environ.get("S3_ENDPOINT_URL") or None
        region = os.environ.get("AWS_REGION") or None
        return Bucket(get_session().create_client("s3", endpoint_url=endpoint, region_name=region), parts.netloc)
    raise click.UsageError(f"--store {address!r} is neither file://<folder> nor s3://<bucket>")
