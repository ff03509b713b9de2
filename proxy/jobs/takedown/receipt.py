"""The receipt of a takedown: what it has removed, and what the public addresses answer."""

from __future__ import annotations

import msgspec


class RemovedBlob(msgspec.Struct, frozen=True, kw_only=True):
    """A key under which a takedown removed blobs: their versions, markers of deletions included, and their bytes.

    The version is empty in a store that keeps no versions.
    """

    key: str
    versions: tuple[str, ...] = ()
    bytes: int = 0


class PublicAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A public address of a picture that is taken down.

    `status` is its last answer to this service: 404, 403 or 410 if it serves the picture no longer, and 0 if there was
    none. `purged` is whether the CDN's copy was purged.
    """

    url: str
    status: int = 0
    purged: bool = False


class TakedownReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a takedown has removed so far, and the public addresses of the picture."""

    removed: tuple[RemovedBlob, ...] = ()
    addresses: tuple[PublicAddress, ...] = ()
