"""Where the service reads originals, and a load test puts them: a folder or a bucket."""

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
    """Where the service reads originals."""

    def put(self, key: str, photo: Path) -> None:
        """Put a file there."""
        ...

    def delete(self, key: str) -> None:
        """Take it away."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a file store."""

    root: Path

    def put(self, key: str, photo: Path) -> None:
        """Copy a file there."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, path)

    def delete(self, key: str) -> None:
        """Remove the file, and the folders that it leaves empty."""
        path = self.root / key
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of a server that speaks S3."""

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
    """Give the store at an address as the service's setting STORE has it; a bucket's settings are botocore's own.

    Raises:
        click.UsageError: it is neither a folder nor a bucket.
    """
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.path:
        return Folder(Path(parts.netloc + parts.path))
    if parts.scheme == "s3" and parts.netloc:
        endpoint = os.environ.get("S3_ENDPOINT_URL") or None
        region = os.environ.get("AWS_REGION") or None
        return Bucket(get_session().create_client("s3", endpoint_url=endpoint, region_name=region), parts.netloc)
    raise click.UsageError(f"--store {address!r} is neither file://<folder> nor s3://<bucket>")
