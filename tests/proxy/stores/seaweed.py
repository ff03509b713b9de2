"""A real SeaweedFS on loopback, and the configuration of stores that use it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from loadtest.servers import seaweed
from loadtest.servers.seaweed import BUCKET, PUBLIC_BUCKET, program
from proxy.stores.s3.config import BucketConfig, Credentials

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ADMIN", "BUCKET", "PUBLIC_BUCKET", "WRITER", "Seaweed", "program", "running"]


def _credentials(keys: seaweed.Keys) -> Credentials:
    return Credentials(access_key_id=keys.access_key_id, secret_access_key=keys.secret_access_key)


ADMIN = _credentials(seaweed.ADMIN)
WRITER = _credentials(seaweed.WRITER)
"""Credentials that may only put objects into the bucket."""


class Seaweed(seaweed.Seaweed):
    """A running SeaweedFS with the buckets `BUCKET` and `PUBLIC_BUCKET`."""

    def bucket(
        self, name: str = BUCKET, *, url: str | None = None, connections: int = 20, read_seconds: float = 10
    ) -> BucketConfig:
        """Return the configuration of a bucket on this server, or on a proxy in front of it at `url`."""
        return BucketConfig(
            name=name,
            endpoint_url=url or self.url,
            region="us-east-1",
            addressing="path",
            connections=connections,
            read_seconds=read_seconds,
        )


@contextmanager
def running(folder: Path) -> Iterator[Seaweed]:
    """Yield a running SeaweedFS with its data in `folder`."""
    with seaweed.running(folder) as one:
        yield Seaweed(one.port)
