"""Signatures and shares of originals that every client computes alike."""

from __future__ import annotations

from pathlib import Path

import msgspec

VECTORS = Path(__file__).with_suffix(".json")


class SignatureVector(msgspec.Struct, frozen=True, kw_only=True):
    """A content, and its signature by a secret at a time in seconds since the epoch."""

    secret: str
    id: str
    timestamp: int
    content: str
    signature: str


class Vectors(msgspec.Struct, frozen=True, kw_only=True):
    """Signatures; and the percentage from which on an original is the service's, by its key."""

    signatures: tuple[SignatureVector, ...]
    buckets: dict[str, float]


def read_vectors() -> Vectors:
    """Read all vectors."""
    return msgspec.json.decode(VECTORS.read_bytes(), type=Vectors)
