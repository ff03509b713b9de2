"""Findings: derivatives that differ between the sides, and why."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.protocol import Inspected, Refusal, Similarity  # noqa: TC001 - msgspec reads the annotations at run time

if TYPE_CHECKING:
    from proxy.stores.base import Blob

STORE: Final = "prefix:"
"""Prefix of the name of a side that lies in the store of the settings; a key prefix follows."""

_IDENTITY_BYTES = 8
"""Bytes of an ETag's digest that tell a derivative from its successor: two are the same once in 10^19."""


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A derivative on one side; `cache_control` is None where clients get none."""

    bytes: int
    content_type: str
    cache_control: str | None
    has_headers: bool
    is_read: bool = False
    """Whether the picture was inspected: otherwise `seen` is None, for no fault of the file."""
    seen: Inspected | Refusal | None = None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A derivative on both sides; None where there is none."""

    old: Copy | None
    new: Copy | None
    is_same_bytes: bool = False
    likeness: Similarity | None = None
    pictures: dict[str, str] = {}
    trouble: str = ""
    """Why it could not be compared."""
    identity: str = ""
    """Of the new derivative; empty where there is none."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a derivative differs; `severity` is 0 (nobody minds) to 100 (no picture)."""

    code: str
    detail: str
    severity: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A derivative that differs between the sides, its causes from the worst on."""

    key: str
    size: str
    causes: tuple[Cause, ...]
    pair: Pair

    @property
    def worst(self) -> Cause:
        """Return the worst of its causes."""
        return self.causes[0]


class ComparedOriginal(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of all sizes of an original; `absent` counts those that neither side has."""

    key: str
    alike: int = 0
    absent: int = 0
    findings: tuple[Finding, ...] = ()
    identities: tuple[str, ...] = ()
    """Of the new derivatives, for each of the sizes; empty where there is none."""

    @property
    def compared(self) -> int:
        """Return how many derivatives are on at least one side."""
        return self.alike + len(self.findings)


class ComparedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """An original that was compared; `new` has the identities of its new derivatives, by size, separated by spaces."""

    key: str
    new: str


def identity(blob: Blob) -> str:
    """Return what tells a derivative from its successor, in a few characters: a report has 100,000 of them."""
    return blake2b(blob.etag.encode(), digest_size=_IDENTITY_BYTES).hexdigest()
