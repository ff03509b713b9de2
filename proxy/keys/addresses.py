"""The addresses at which browsers read blobs, optionally with the version of the blob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.keys.syntax import url

VERSION: Final = "?v="
"""What precedes the version in an address; no address of a key contains it, as `?` is escaped in keys."""


@dataclass(frozen=True, slots=True)
class PublicAddresses:
    """The base URL at which browsers read the store, and whether addresses below it end in a version."""

    base_url: str
    has_versions: bool = False

    def of(self, key: str, version: str) -> str:
        """Return the address of a blob; an empty `version` is unknown and left out."""
        address = url(self.base_url, key)
        return f"{address}{VERSION}{version}" if self.has_versions and version else address
