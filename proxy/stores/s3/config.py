"""The configuration of a bucket's client: address, options and credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from aiobotocore.config import AioConfig

from proxy.stores.s3.session import Session

AUTO_ACL: Final = "auto"
PUBLIC_ACL: Final = "public-read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The access keys for a bucket; without them, botocore searches the environment, container and machine."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketConfig:
    """The name of a bucket and the options for connecting to it.

    `acl` is sent with every put and copy; it is empty for buckets that take no ACLs. `AUTO_ACL` stands for `PUBLIC_ACL`
    if the bucket takes ACLs, and for none if it does not. `connections` is the size of the connection pool.
    """

    name: str
    endpoint_url: str | None = None
    region: str | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    acl: str = PUBLIC_ACL
    connections: int = 20
    connect_seconds: float = 5.0
    read_seconds: float = 10.0


def client_options(bucket: BucketConfig, credentials: Credentials | None) -> dict[str, object]:
    """Return the options with which botocore creates the client of a bucket."""
    config = AioConfig(
        connect_timeout=bucket.connect_seconds,
        read_timeout=bucket.read_seconds,
        max_pool_connections=bucket.connections,
        http_session_cls=Session,
        retries={"total_max_attempts": 1},  # `with_retries` retries, also when a body breaks off
        s3={"addressing_style": bucket.addressing},
        request_checksum_calculation="when_required",  # not every store supports newer ones; all support Content-MD5
        response_checksum_validation="when_required",
    )
    options: dict[str, object] = {"config": config, "endpoint_url": bucket.endpoint_url, "region_name": bucket.region}
    if credentials:
        options["aws_access_key_id"] = credentials.access_key_id
        options["aws_secret_access_key"] = credentials.secret_access_key
        options["aws_session_token"] = credentials.session_token
    return options
