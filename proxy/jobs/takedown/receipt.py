"""The receipt of a takedown: what it has removed, and what the public addresses answer."""

from __future__ import annotations

import msgspec


class RemovedBlob(msgspec.Struct, frozen=True, kw_only=True):
    """A key under which a takedown removed blobs: how many versions, delete markers included, and their bytes."""

    key: str
    versions: int
    bytes: int


class PublicAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A public address of a picture that is taken down.

    `status` is its last answer to this service: 404, 403 or 410 if it serves the picture no longer, and 0 if there was
    none. `purged` is whether the CDN was told to drop its copy.
    """

    url: str
    status: int = 0
    purged: bool = False


class TakedownReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a takedown has removed so far, and the public addresses of the picture."""

    removed: tuple[RemovedBlob, ...] = ()
    addresses: tuple[PublicAddress, ...] = ()
