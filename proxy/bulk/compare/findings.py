"""Findings: derivatives that differ between the sides, and why."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.protocol import Inspected, Refusal, Similarity  # noqa: TC001 - msgspec reads the annotations at run time

if TYPE_CHECKING:
    from proxy.stores.base import Blob

STORE: Final = "prefix:"
"""Prefix of the name of a side in the configured store; a key prefix follows."""

_IDENTITY_BYTES = 8
"""Bytes of the ETag's digest that distinguish a derivative from its successor: two collide once in 10^19."""


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A derivative on one side; `cache_control` is None if clients receive no such header."""

    bytes: int
    content_type: str
    cache_control: str | None
    has_headers: bool
    seen: Inspected | Refusal | None = None
    """None if the picture was not inspected; the file may be valid."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A derivative on both sides; None on a side that does not have it."""

    old: Copy | None
    new: Copy | None
    is_same_bytes: bool = False
    likeness: Similarity | None = None
    pictures: dict[str, str] = {}
    trouble: str = ""
    """Why it could not be compared; empty if it was."""
    identity: str = ""
    """The identity of the new derivative; empty if it does not exist."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The cause of a difference; `severity` is 0 (harmless) to 100 (no picture)."""

    code: str
    detail: str
    severity: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A derivative that differs between the sides, with its causes, worst first."""

    key: str
    size: str
    causes: tuple[Cause, ...]
    pair: Pair

    @property
    def worst(self) -> Cause:
        """Return the worst cause."""
        return self.causes[0]


class ComparedOriginal(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of all sizes of an original; `absent` counts the sizes that neither side has."""

    key: str
    alike: int = 0
    absent: int = 0
    findings: tuple[Finding, ...] = ()
    identities: tuple[str, ...] = ()
    """The identities of the new derivatives, in the order of the sizes; empty for one that does not exist."""

    @property
    def compared(self) -> int:
        """Return how many derivatives exist on at least one side."""
        return self.alike + len(self.findings)


class ComparedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A compared original; `new` is the identities of its new derivatives in the order of the sizes, with spaces."""

    key: str
    new: str


def identity(blob: Blob) -> str:
    """Return a short digest that distinguishes a derivative from its successor; a report has 100,000 of them."""
    return blake2b(blob.etag.encode(), digest_size=_IDENTITY_BYTES).hexdigest()
