"""Construction of the store that the settings select."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from proxy.optional_imports import unavailable
from proxy.stores.file.store import FileStore
from proxy.stores.probe.write_probe import WriteProbe

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.stores.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """The address of a store and the options for connecting to it.

    `connections` is the largest number of simultaneous connections. `public_address` returns the public URL of a key;
    if it is set, `head`, `fetch` and `open` read from there what the credentials cannot read from the bucket.
    `is_seen_by_browsers`: browsers read from the host of `public_address`. `is_original` returns whether a key may be
    that of an original.
    """

    store: str
    endpoint_url: str | None
    region: str | None
    addressing: Literal["auto", "path", "virtual"]
    acl: str
    public_address: Callable[[str], str] | None
    is_seen_by_browsers: bool = False
    is_original: Callable[[str], bool] = lambda _key: True
    connections: int


def open_store(config: StoreConfig) -> Store:
    """Return the store that `config` describes, not yet started: `file://<folder>` or `s3://<bucket>`."""
    if config.store.startswith("file://"):
        return FileStore(Path(config.store.removeprefix("file://")))
    return _bucket_store(config)


def open_probe(store: Store, *, key: str, public_url: str | None) -> WriteProbe:
    """Return the write probe of a store, which reads `public_url`, that of `key`, if it is set."""
    if public_url is None:
        return WriteProbe(store, key=key)
    # Imported here, because aiobotocore costs memory that a file store does not need.
    from proxy.stores.s3.public_read import read_public  # noqa: PLC0415 - see above

    return WriteProbe(store, key=key, read_public=partial(read_public, public_url))


def _bucket_store(config: StoreConfig) -> Store:
    # Imported here, because aiobotocore costs 20 MB, which a file store does not need. It imports httpx, which imports
    # rich, if they are installed; it does not use them here, and they cost 9 MB.
    with unavailable("httpx"):
        from proxy.stores.s3.config import BucketConfig  # noqa: PLC0415 - see above
        from proxy.stores.s3.store import S3Store  # noqa: PLC0415 - see above

    bucket = S3Store(
        BucketConfig(
            name=config.store.removeprefix("s3://"),
            endpoint_url=config.endpoint_url,
            region=config.region,
            addressing=config.addressing,
            acl=config.acl,
            connections=config.connections,
        )
    )
    if config.public_address is None:
        return bucket
    from proxy.stores.origin.bucket_first import BucketFirstStore  # noqa: PLC0415 - it imports httpx
    from proxy.stores.origin.store import OriginConfig  # noqa: PLC0415 - the same

    return BucketFirstStore(
        config.public_address,
        bucket,
        OriginConfig(connections=config.connections),
        is_original=config.is_original,
        is_seen_by_browsers=config.is_seen_by_browsers,
    )
